"""Encodes callback data with eth-abi, the encoder of the Ethereum Foundation: ../fixtures/callback.json.

The values are asymmetric, so that two that are swapped show; one case has no detection, one the most there may be.
"""

import json
from pathlib import Path

from eth_abi import encode

TYPES = ["uint8", "bytes32", "bytes32", "(uint16,uint16,uint16,uint16,uint16,uint16)[]"]
IMAGE = bytes(range(1, 33))
WEIGHTS = bytes(range(255, 223, -1))


def case(status, image, weights, detections):
    data = encode(TYPES, [status, image, weights, detections])
    return {
        "status": status,
        "image": image.hex(),
        "weights": weights.hex(),
        "detections": detections,
        "data": data.hex(),
    }


def main():
    two = [(18, 9900, 48, 143, 376, 337), (1, 500, 0, 65535, 65535, 1)]
    most = [(n + 1, 10000 - 100 * n, n, 2 * n + 1, 3 * n + 2, 5 * n + 3) for n in range(32)]
    cases = [
        case(0, IMAGE, WEIGHTS, two),
        case(0, IMAGE, WEIGHTS, []),
        case(0, IMAGE, WEIGHTS, most),
        case(29, bytes(32), bytes(32), []),
    ]
    path = Path(__file__).parent.parent / "fixtures" / "callback.json"
    path.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
