"""A loopback of the benchmark's own, with TCP as Linux has it by default."""
import ctypes
import fcntl
import os
import socket
import struct

CHOICE = "/proc/sys/net/ipv4/tcp_congestion_control"
DEFAULT = "cubic"
NOT_PACING = (DEFAULT, "reno")
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def read_choice():
    with open(CHOICE) as file:
        return file.read().strip()


def raise_loopback():
    """A new network namespace has one, which is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def enter():
    """Where TCP paces what it sends (BBR), each 64 KiB on loopback cost a timer's interrupt, several times what a
    broker does for them. All that is started from here on has a network without, if this process may make one; it
    reaches nothing outside. Returns the congestion control that holds, in words."""
    chosen = read_choice()
    if chosen in NOT_PACING:
        return chosen
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        return f"{chosen}, which paces: no network without ({os.strerror(ctypes.get_errno())})"
    raise_loopback()
    with open(CHOICE, "w") as file:
        file.write(DEFAULT)
    return f"{read_choice()}, in a network of the benchmark's own; the machine has {chosen}"
