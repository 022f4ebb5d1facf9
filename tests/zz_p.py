import cProfile, pstats, tempfile, time
from pathlib import Path
from tests.crashes import Point, Kill
from tests.crash_runs import Stage
if __name__=="__main__":
    with tempfile.TemporaryDirectory(prefix="crash-", dir="/dev/shm") as n:
        st=Stage(Path(n)); k=Kill(point=Point(name="maintsched.worker.perform.write_marks/after",scene="reminders"))
        st.run(k)
        p=cProfile.Profile(); t=time.time(); p.enable()
        for i in range(5): st.run(k)
        p.disable(); print(time.time()-t)
        pstats.Stats(p).sort_stats("cumtime").print_stats(45)
