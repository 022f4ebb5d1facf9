import time, sys, tempfile
from pathlib import Path
from tests.crashes import random_kills, Point, Kill
from tests.crash_runs import Stage
if __name__=="__main__":
    with tempfile.TemporaryDirectory(prefix="crash-", dir="/dev/shm") as n:
        st=Stage(Path(n)); t=time.time(); k=0
        for s in ("after","before"):
            for f in ("watch.warn_of_margins","perform.write_marks"):
              for h in (1,2,3):
                tale=st.run(Kill(point=Point(name=f"maintsched.worker.{f}/{s}",scene="reminders"),hit=h)); print(f,s,h,tale.killed,tale.broken[:5])
        for kill in random_kills(int(sys.argv[1]), int(sys.argv[2])):
            tale=st.run(kill); k+=tale.killed
            if tale.broken: print(kill, tale.killed, tale.broken[:5])
        print("killed",k,time.time()-t)
