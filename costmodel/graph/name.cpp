#include "costmodel/graph/name.hpp"

#include <array>

namespace dtcalc {

std::string_view text(Name name) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Name::count)> kText = {
      "embedding.token",
      "embedding.position",
      "embedding.dropout",
      "block.attention.residual",
      "block.attention.norm",
      "block.attention.query",
      "block.attention.query.bias",
      "block.attention.key",
      "block.attention.key.bias",
      "block.attention.value",
      "block.attention.value.bias",
      "block.attention.query.norm",
      "block.attention.key.norm",
      "block.attention.query.rope",
      "block.attention.key.rope",
      "block.attention.scores",
      "block.attention.mask",
      "block.attention.softmax",
      "block.attention.dropout",
      "block.attention.context",
      "block.attention.output",
      "block.attention.output.bias",
      "block.attention.output.dropout",
      "block.attention.output.norm",
      "block.mlp.residual",
      "block.mlp.norm",
      "block.mlp.gate",
      "block.mlp.gate.bias",
      "block.mlp.up",
      "block.mlp.up.bias",
      "block.mlp.activation",
      "block.mlp.multiply",
      "block.mlp.down",
      "block.mlp.down.bias",
      "block.mlp.down.dropout",
      "block.mlp.output.norm",
      "block.sum",
      "final.residual",
      "final.norm",
      "head.product",
      "head.bias",
      "head.softcap",
      "loss.max",
      "loss.sum",
      "loss.target",
      "optimizer.norm",
      "optimizer.update",
      "cast",
      "embedding.reduce",
      "block.attention.gather",
      "block.attention.ring",
      "block.attention.reduce",
      "block.mlp.gather",
      "block.mlp.reduce",
      "head.gather",
      "loss.reduce"};
  return kText[static_cast<std::size_t>(name)];
}

}  // namespace dtcalc
