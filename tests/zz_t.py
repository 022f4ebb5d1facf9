import time, sys
from pathlib import Path
import tempfile
from tests.crashes import points, random_kills, Kill
from tests.crash_runs import Stage
if __name__=="__main__":
    with tempfile.TemporaryDirectory(prefix="crash-", dir="/dev/shm") as n:
        st=Stage(Path(n))
        pat=sys.argv[1] if len(sys.argv)>1 else ""
        for p in points():
            if pat not in p.name+" "+p.scene: continue
            t=time.time()
            st.baseline(p.scene) if p.scene not in("init","demo") else 0
            t1=time.time()
            tale=st.run(Kill(point=p))
            print(f"{p.name:60} {p.scene:12} base {t1-t:.2f} run {time.time()-t1:.2f} killed {tale.killed} extra {tale.extra} unm {tale.unmarked} passes {tale.passes} {tale.broken[:6]}")
