// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// A contract whose events are no transfers: a tuple with an array of tuples inside, integers beyond 128
/// bits, an indexed string (of which only the hash is on chain), an overloaded event and an anonymous one.
contract Exchange {
    struct Leg {
        address venue;
        int128 delta;
        bytes route;
    }

    struct Order {
        address token;
        uint256 amount;
        uint64 deadline;
        Leg[] legs;
    }

    uint256 public lastOrder;
    uint256 public round;

    event OrderPlaced(uint256 indexed id, address indexed maker, Order order);
    event OrderCancelled(uint256 indexed id);
    event OrderCancelled(uint256 indexed id, string reason);
    event PriceSet(bytes32 indexed market, uint256 price);
    event Note(string indexed topic, string text);
    event Heartbeat(uint256 indexed round) anonymous;

    /// Orders are numbered from 1.
    function placeOrder(Order calldata order) external returns (uint256 id) {
        id = ++lastOrder;
        emit OrderPlaced(id, msg.sender, order);
    }

    /// With no reason, the event without one.
    function cancelOrder(uint256 id, string calldata reason) external {
        if (bytes(reason).length == 0) emit OrderCancelled(id);
        else emit OrderCancelled(id, reason);
    }

    function setPrice(bytes32 market, uint256 price) external {
        emit PriceSet(market, price);
    }

    function note(string calldata topic, string calldata text) external {
        emit Note(topic, text);
    }

    function heartbeat() external {
        emit Heartbeat(++round);
    }
}
