# A program in a terminal, with somebody typing.
#
#   terminal.py SECONDS TYPED EXPECTED [TYPED EXPECTED]… -- PROGRAM ARGUMENT…
#
# Each EXPECTED must be on the screen before the next text is typed. Shows what
# was on the screen, without colours; exit code 1 when something was missing.

import os
import pty
import re
import select
import signal
import sys
import termios
import time

at = sys.argv.index("--")
deadline = time.monotonic() + float(sys.argv[1])
script, program = sys.argv[2:at], sys.argv[at + 1:]

pid, terminal = pty.fork()
if pid == 0:
    termios.tcsetwinsize(0, (40, 160))
    os.environ["TERM"] = "xterm"
    os.execvp(program[0], program)

screen = ""


# What stands behind it on the screen is left for the next.
def see(expected):
    global screen
    seen = screen
    while expected not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        try:
            data = os.read(terminal, 65536) if ready else b""
        except OSError:  # the program has ended
            data = b""
        if not data:
            return False
        screen += data.decode(errors="replace")
        seen = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", screen)
    screen = seen.split(expected, 1)[1]
    return True


missing = None
for typed, expected in zip(script[::2], script[1::2]):
    os.write(terminal, typed.encode())
    if not see(expected):
        missing = expected
        break

os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
if missing is not None:
    print("never saw %r but %r" % (missing, screen))
    sys.exit(1)
