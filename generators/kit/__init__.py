"""What the generators are built with: card, builder, contracts, blocks, rendering. Knows no single template."""
