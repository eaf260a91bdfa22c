"""Starts our echo server, and ends it when the caller ends, however it does."""

import contextlib
import subprocess
import threading

SECONDS = 20


@contextlib.contextmanager
def serve(program, *arguments):
    """Gives the server's address: its first line."""
    child = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
    # Killed, it ends its output, and so the wait for a line.
    late = threading.Timer(SECONDS, child.kill)
    late.start()
    try:
        address = child.stdout.readline().strip()
        late.cancel()
        if not address:
            raise RuntimeError(f"{program} gives no address")
        yield address
        if child.poll() is not None:
            raise RuntimeError(f"{program} ended with {child.returncode}")
    finally:
        late.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
