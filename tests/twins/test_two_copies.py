"""The rules by which modules share brokers, with two copies of the Python module in one process."""

import subprocess
import sys
import textwrap

import pytest

COPIES = """
    import importlib, pathlib, shutil, sys, tempfile, threading

    import warrenmq as one

    def another():
        # A file of another name is another object for the loader.
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(pathlib.Path(one.__file__).parent, pathlib.Path(folder) / "warrenmq")
            mine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "warrenmq"}
            sys.path.insert(0, folder)
            try:
                return importlib.import_module("warrenmq")
            finally:
                sys.path.remove(folder)
                for name in [name for name in sys.modules if name.split(".")[0] == "warrenmq"]:
                    del sys.modules[name]
                sys.modules.update(mine)
"""


@pytest.fixture
def run():
    """Runs a program; what it prints."""

    def run(program, timeout=50):
        command = [sys.executable, "-c", textwrap.dedent(COPIES) + textwrap.dedent(program)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert ended.returncode == 0, f"status {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    return run


def test_copies_that_connect_at_the_same_time_have_one_broker(run):
    program = """
    copies = [one, another(), another()]
    assert len({copy.connect for copy in copies}) == 3
    start = threading.Barrier(len(copies))
    connections = [None] * len(copies)

    def connect(index):
        start.wait()
        connections[index] = copies[index].connect("inproc://raced")

    threads = [threading.Thread(target=connect, args=[index]) for index in range(len(copies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.queue("q").send("x")
    print({connection.queue("q").message_count for connection in connections})
    """
    for _ in range(5):
        assert run(program) == "{3}\n"


def test_a_broker_without_a_name_is_its_connections_own(run):
    program = """
    two = another()
    with one.connect("inproc://") as mine, two.connect("inproc://") as other:
        mine.queue("q").send("x")
        print(other.queue("q").message_count)
    """
    assert run(program) == "0\n"


def test_a_module_of_another_version_is_refused_by_an_error_that_names_both(run):
    program = """
    import ctypes

    version = b"9.8.7"
    header = (ctypes.c_uint64 * 5)(
        int.from_bytes(b"WarrenMQ", "big"), 1, 8, ctypes.cast(version, ctypes.c_void_p).value, len(version)
    )
    library = ctypes.CDLL(one._native.__file__)
    ctypes.c_void_p.in_dll(library, "warrenmq_rendezvous").value = ctypes.addressof(header)
    for _ in range(2):
        try:
            one.connect("inproc://x")
        except one.Unsupported as error:
            print(error.reason, "|", error.advice)
    with one.connect("inproc://") as mq, tempfile.TemporaryDirectory() as folder:
        mq.queue("q").send("a broker without a name needs no other module")
        with one.connect(f"local:{folder}/data") as mq:
            mq.queue("q").send("a directory is shared as between processes")
    print("others work")
    """
    told = run(program).splitlines()
    assert len(told) == 3 and told[2] == "others work"
    for line in told[:2]:
        assert "one is of WarrenMQ 0." in line and "the other of 9.8.7 | install modules of the same version" in line


def test_a_directory_that_one_copy_has_is_open_to_the_other(run, tmp_path):
    program = f"""
    two = another()
    with one.connect("local:{tmp_path}/data") as mine, two.connect("local:{tmp_path}/data") as other:
        mine.queue("q", durable=True).send("x")
        print(other.queue("q", durable=True).get(no_ack=True).text())
    """
    assert run(program) == "x\n"
