"""One generator a template: each module or package here has a card, `STACK`, and a `build(b)`. No AWS calls."""
