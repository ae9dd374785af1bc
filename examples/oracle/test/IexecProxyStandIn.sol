// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Calls back as iExec's contract does
/// @dev After `executeCallback` of PoCo's contracts/facets/IexecPoco2Facet.sol: the same call with the same gas, and
/// success and failure alike. Instead of ignoring the outcome it logs it.
contract IexecProxyStandIn {
    uint256 private constant CALLBACK_GAS = 200_000;

    event CalledBack(bool success, bytes returndata);

    function finalize(address callback, bytes32 taskId, bytes calldata resultsCallback) external {
        (bool success, bytes memory returndata) = callback.call{gas: CALLBACK_GAS}(
            abi.encodeWithSignature("receiveResult(bytes32,bytes)", taskId, resultsCallback)
        );
        assert(gasleft() > CALLBACK_GAS / 63);
        emit CalledBack(success, returndata);
    }
}
