//! The harness itself: servers start, stop, are killed and come back; the proxy does what it says.
