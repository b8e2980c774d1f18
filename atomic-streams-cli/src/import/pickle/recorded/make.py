"""Writes the pickles beside it: plain values, by every protocol."""

import pathlib
import pickle

shared = ["x"]
plain = {
    "stock": 93, "big": 2**64 - 1, "neg": -5, "low": -(2**63), "price": 1.5, "name": "Zoë \\ \n 😀",
    "yes": True, "no": False, "none": None, "raw": b"\x00\xffab", "list": [1, [2, [3]]],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], "empty": ([], {}, b"", ""),
    "map": {"a": 1, 2: "b"}, "shared": [shared, shared], "many": list(range(2500)), "long": "y" * 300,
}
sets = {"set": {1}, "frozen": frozenset([2]), "noset": set()}
here = pathlib.Path(__file__).parent
for protocol in range(6):
    for name, value in {"plain": plain, "sets": sets}.items():
        (here / f"{name}{protocol}.pickle").write_bytes(pickle.dumps(value, protocol))
