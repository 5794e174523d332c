// Closed forms of fine-tuning with low-rank adapters (Hu et al. 2021, LoRA, arXiv 2106.09685, Sec. 4) and of training
// on preferences (Sec. 7 of the notes). Used by the registry and by the tests.
#pragma once

#include <cstdint>

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// Matrices of every block that have an adapter B A beside them; all else is frozen.
struct Adapted {
  bool q = false, k = false, v = false, o = false, gate = false, up = false, down = false;
};

/// r (n + m) for every adapted matrix (n, m). Exact.
Parameters adapter_parameters(const Architecture& model, std::int64_t rank, const Adapted& adapted);

/// Products of a forward and a backward pass, full S x S attention. Exact: the forward pass also runs both products of
/// every adapter; the backward pass has no weight gradient of a frozen matrix, and input gradients only where an
/// adapter lies upstream, which leaves out those of the first block's query, key and value.
Flop adapter_flops(const Architecture& model, std::int64_t B, std::int64_t S, std::int64_t rank,
                   const Adapted& adapted);

/// 4 N a token: forward and input gradients, no weight gradients. Leading order: adapters, S x S products and what the
/// first block saves are left out.
Flop frozen_weights_flops(std::int64_t B, std::int64_t S, std::int64_t N);

/// 16 N a token pair: forward and backward of the policy and a forward pass of the reference over the chosen and the
/// rejected answer (7.6). Leading order, as (4.3).
Flop dpo_flops(std::int64_t pairs, std::int64_t S, std::int64_t N);

/// 20 N a token: forward and backward of policy and value model (12 N), scoring by policy, reference, reward and value
/// model (8 N); and 2 N for every token of the prompts and answers while the policy writes. Leading order.
Flop ppo_flops(std::int64_t sequences, std::int64_t S, std::int64_t N);

}  // namespace dtcalc::formulas
