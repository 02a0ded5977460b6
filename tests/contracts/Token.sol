// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// The ERC-20 (EIP-20) of the demo and the tests: six decimals, an open mint, and calls that emit many
/// `Transfer` logs in one transaction. It is worth nothing: never deploy it where money is.
contract Token {
    string public constant name = "Bell Dollar";
    string public constant symbol = "BELL";
    uint8 public constant decimals = 6;

    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error InsufficientBalance(address owner, uint256 balance, uint256 needed);
    error InsufficientAllowance(address spender, uint256 allowed, uint256 needed);
    error LengthsDiffer();

    constructor(uint256 supply) {
        _mint(msg.sender, supply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _transfer(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < value) revert InsufficientAllowance(msg.sender, allowed, value);
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - value;
        _transfer(from, to, value);
        return true;
    }

    /// Anyone may mint.
    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    /// One transfer for each recipient, all in one transaction.
    function burst(address[] calldata to, uint256[] calldata amounts) external {
        if (to.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < to.length; i++) _transfer(msg.sender, to[i], amounts[i]);
    }

    /// The same transfer many times, all in one transaction: logs that differ in nothing but their index.
    function transferMany(address to, uint256 amount, uint256 times) external {
        for (uint256 i = 0; i < times; i++) _transfer(msg.sender, to, amount);
    }

    function _transfer(address from, address to, uint256 value) private {
        uint256 balance = balanceOf[from];
        if (balance < value) revert InsufficientBalance(from, balance, value);
        unchecked {
            balanceOf[from] = balance - value;
            balanceOf[to] += value;
        }
        emit Transfer(from, to, value);
    }

    function _mint(address to, uint256 value) private {
        totalSupply += value;
        unchecked {
            balanceOf[to] += value;
        }
        emit Transfer(address(0), to, value);
    }
}
