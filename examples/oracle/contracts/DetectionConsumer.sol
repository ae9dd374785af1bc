// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LibBytes} from "solady/src/utils/LibBytes.sol";
import {SSTORE2} from "solady/src/utils/SSTORE2.sol";

/// @title What iExec calls when a task with a callback is done (ERC-1154)
interface IOracleConsumer {
    /// @notice Takes the result of a task
    /// @param taskId The task that is done
    /// @param data Its callback data
    function receiveResult(bytes32 taskId, bytes calldata data) external;
}

/// @title Keeps the detections of maskrcnn tasks, for other contracts to read
/// @notice Results are kept by task id. Anybody can order a task, of any app, that calls back here: read only a task id
/// that you know to be of your own order. No other order can write to it, as it is a hash that commits to the order.
contract DetectionConsumer is IOracleConsumer {
    /// @notice One object found in the image
    struct Detection {
        /// The data set's number of the class (COCO: 1 to 90)
        uint16 categoryId;
        /// Confidence in ten-thousandths: 9700 is 0.97
        uint16 scoreBps;
        /// Left edge of the box, in pixels of the upright image
        uint16 x;
        /// Top edge of the box, in pixels
        uint16 y;
        /// Width of the box, in pixels
        uint16 width;
        /// Height of the box, in pixels
        uint16 height;
    }

    /// @dev One slot. The rest is the code of the contract at `pointer`, as `_pack` makes it.
    struct Result {
        address pointer;
        uint8 status;
        uint8 detectionCount;
    }

    /// @notice The most detections in one result
    uint256 public constant MAX_DETECTIONS = 32;

    /// @dev Bytes of the encoded result before the list's elements: status, two digests, the list's offset and length
    uint256 private constant ENCODED_HEAD_SIZE = 5 * 32;
    /// @dev Where `abi.encode` puts the list: behind the four values, of which it is the last
    uint256 private constant ENCODED_LIST_OFFSET = 4 * 32;
    /// @dev Bytes of an encoded detection
    uint256 private constant ENCODED_DETECTION_SIZE = 6 * 32;
    /// @dev Bytes of the two digests before the packed detections
    uint256 private constant DIGESTS_SIZE = 2 * 32;
    /// @dev Bytes of a packed detection
    uint256 private constant PACKED_DETECTION_SIZE = 6 * 2;

    /// @notice iExec's contract, the only one that may hand in results
    address public immutable iexecProxy;

    mapping(bytes32 taskId => Result) private _results;

    /// @notice A result has come
    /// @param taskId The task that it is of
    /// @param status 0 if the task is done, otherwise the number of an error
    /// @param detectionCount How many detections there are
    event ResultReceived(bytes32 indexed taskId, uint8 status, uint256 detectionCount);

    /// @notice The address of iExec's contract is zero
    error ZeroAddress();
    /// @notice The caller is not iExec's contract
    error NotIexec(address caller);
    /// @notice There already is a result of this task
    error AlreadyReceived(bytes32 taskId);
    /// @notice The data are not `abi.encode` of a result with at most `MAX_DETECTIONS` detections
    error MalformedResult(uint256 size);
    /// @notice There is no result of this task, or not yet
    error UnknownTask(bytes32 taskId);
    /// @notice The result has fewer detections
    error NoSuchDetection(uint256 index, uint256 detectionCount);

    /// @param iexecProxy_ Address of iExec's contract on this chain
    constructor(address iexecProxy_) {
        if (iexecProxy_ == address(0)) revert ZeroAddress();
        iexecProxy = iexecProxy_;
    }

    /// @inheritdoc IOracleConsumer
    /// @dev iExec gives this call 200,000 gas, ignores its failure and never repeats it: it must succeed for every valid
    /// result. In storage 32 detections would fill 12 slots, at 22,100 gas each. As the code of a contract a byte of them
    /// costs 200.
    function receiveResult(bytes32 taskId, bytes calldata data) external override {
        if (msg.sender != iexecProxy) revert NotIexec(msg.sender);
        if (_results[taskId].pointer != address(0)) revert AlreadyReceived(taskId);

        (uint8 status, bytes32 imageSha256, bytes32 weightsSha256, Detection[] calldata found) = _decode(data);
        _results[taskId] = Result({
            pointer: SSTORE2.write(_pack(imageSha256, weightsSha256, found)),
            status: status,
            detectionCount: uint8(found.length)
        });
        emit ResultReceived(taskId, status, found.length);
    }

    /// @notice Whether there is a result of this task
    function hasResult(bytes32 taskId) external view returns (bool) {
        return _results[taskId].pointer != address(0);
    }

    /// @notice 0 if the task is done, otherwise the number of an error
    function statusOf(bytes32 taskId) external view returns (uint8) {
        return _resultOf(taskId).status;
    }

    /// @notice SHA-256 of the image's file and of the weights' file, zero where the task does not know it
    function digestsOf(bytes32 taskId) external view returns (bytes32 imageSha256, bytes32 weightsSha256) {
        bytes memory digests = SSTORE2.read(_resultOf(taskId).pointer, 0, DIGESTS_SIZE);
        return (LibBytes.load(digests, 0), LibBytes.load(digests, 32));
    }

    /// @notice How many detections there are
    function detectionCountOf(bytes32 taskId) external view returns (uint256) {
        return _resultOf(taskId).detectionCount;
    }

    /// @notice One detection; 0 is the surest
    function detectionOf(bytes32 taskId, uint256 index) external view returns (Detection memory) {
        Result memory result = _resultOf(taskId);
        if (index >= result.detectionCount) revert NoSuchDetection(index, result.detectionCount);
        uint256 start = DIGESTS_SIZE + PACKED_DETECTION_SIZE * index;
        return _unpack(SSTORE2.read(result.pointer, start, start + PACKED_DETECTION_SIZE), 0);
    }

    /// @notice All detections, the surest first
    function detectionsOf(bytes32 taskId) external view returns (Detection[] memory found) {
        Result memory result = _resultOf(taskId);
        bytes memory packed = SSTORE2.read(result.pointer, DIGESTS_SIZE);
        found = new Detection[](result.detectionCount);
        for (uint256 i = 0; i < found.length; ++i) {
            found[i] = _unpack(packed, PACKED_DETECTION_SIZE * i);
        }
    }

    function _resultOf(bytes32 taskId) private view returns (Result memory result) {
        result = _results[taskId];
        if (result.pointer == address(0)) revert UnknownTask(taskId);
    }

    /// @dev The list stays in the call data: `abi.decode` would first copy it to memory. The compiler's code checks the
    /// range of each number where it is read, and reverts without data.
    function _decode(bytes calldata data)
        private
        pure
        returns (uint8 status, bytes32 imageSha256, bytes32 weightsSha256, Detection[] calldata found)
    {
        if (data.length < ENCODED_HEAD_SIZE) revert MalformedResult(data.length);
        uint256 offset;
        uint256 count;
        (status, imageSha256, weightsSha256, offset, count) =
            abi.decode(data[:ENCODED_HEAD_SIZE], (uint8, bytes32, bytes32, uint256, uint256));
        bool wellFormed = offset == ENCODED_LIST_OFFSET && count <= MAX_DETECTIONS
            && data.length == ENCODED_HEAD_SIZE + ENCODED_DETECTION_SIZE * count;
        if (!wellFormed) revert MalformedResult(data.length);
        // The elements fill the rest of `data`, as was just checked.
        assembly ("memory-safe") {
            found.offset := add(data.offset, ENCODED_HEAD_SIZE)
            found.length := count
        }
    }

    /// @dev The two digests, then each detection's fields in their order, big-endian.
    function _pack(bytes32 imageSha256, bytes32 weightsSha256, Detection[] calldata found)
        private
        pure
        returns (bytes memory packed)
    {
        packed = new bytes(DIGESTS_SIZE + PACKED_DETECTION_SIZE * found.length);
        // Memory is written in words, of which a detection fills the end: from the last to the first, each write
        // repairs what the one before it put into the bytes ahead of its detection.
        for (uint256 i = found.length; i > 0; --i) {
            Detection calldata detection = found[i - 1];
            uint256 word = (uint256(detection.categoryId) << 80) | (uint256(detection.scoreBps) << 64)
                | (uint256(detection.x) << 48) | (uint256(detection.y) << 32) | (uint256(detection.width) << 16)
                | uint256(detection.height);
            uint256 end = DIGESTS_SIZE + PACKED_DETECTION_SIZE * i;
            // A word that ends at byte `end` begins at `packed + 32 + end - 32`.
            assembly ("memory-safe") {
                mstore(add(packed, end), word)
            }
        }
        assembly ("memory-safe") {
            mstore(add(packed, 32), imageSha256)
            mstore(add(packed, 64), weightsSha256)
        }
    }

    /// @dev The detection whose packed form begins at `start`.
    function _unpack(bytes memory packed, uint256 start) private pure returns (Detection memory) {
        uint256 word = uint256(LibBytes.load(packed, start)) >> 160;
        return Detection({
            categoryId: uint16(word >> 80),
            scoreBps: uint16(word >> 64),
            x: uint16(word >> 48),
            y: uint16(word >> 32),
            width: uint16(word >> 16),
            height: uint16(word)
        });
    }
}
