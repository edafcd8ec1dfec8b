//! Dashboard, commissioning and API of one gateway.
