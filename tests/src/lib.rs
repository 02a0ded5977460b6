//! Nothing: this package is its tests, the end-to-end stories and the checks of the house itself.
