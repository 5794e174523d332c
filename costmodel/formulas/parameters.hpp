// Closed forms for parameter counts: (3.2), (7.10), (F.1) and the exact count per tensor. Used by the registry, by
// `explain` and by the tests that hold the graph against them.
#pragma once

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// (3.2) (4+2E) L D^2: the weights of the blocks. Leading order: biases and norms are 13/(12 D) of it, the embedding
/// V/((4+2E) D L). E may be a fraction; E D is rounded to a whole width.
Parameters eq_3_2_parameters(std::int64_t L, std::int64_t D, double E);

/// (7.10) (4+2E) L D^2 / T: the same per tensor-parallel worker, rounded up when T does not divide.
Parameters eq_7_10_parameters_per_worker(std::int64_t L, std::int64_t D, double E, std::int64_t T);

/// (F.1) (4+2E) L D^2 + V D: with the (tied) embedding. Leading order: the position table K D is not O(D L) (E69),
/// biases and norms are missing.
Parameters eq_F_1_parameters(std::int64_t L, std::int64_t D, double E, std::int64_t V);

/// Exact count of every kind of tensor. Shapes in brackets; biases counted with their matrix.
struct ParameterCount {
  // One block:
  Parameters query;      ///< (D, A H) and its bias
  Parameters key_value;  ///< two of (D, G H) and their biases
  Parameters output;     ///< (A H, D) and its bias
  Parameters attention;  ///< query + key_value + output
  Parameters mlp;        ///< (D, F), with a GLU twice, and (F, D), and their biases
  Parameters norms;      ///< norms_per_block vectors of D, twice that with beta (E21), and the query and key norms
  Parameters block;      ///< attention + mlp + norms
  // The whole model:
  Parameters embedding;      ///< (V, D)
  Parameters position;       ///< (K, D) if learned, else 0
  Parameters final_norm;     ///< (D), twice with beta
  Parameters head;           ///< (V, D) if untied, and the bias (V) if any
  Parameters total;          ///< L block + embedding + position + final_norm + head
  Parameters non_embedding;  ///< total - embedding - position - head
};
ParameterCount param_count(const Architecture& model);

/// Elements of the matrices that act on every token: what a forward pass multiplies by, without biases, norms and
/// tables.
Parameters block_matrices(const Architecture& model);  ///< one block
Parameters head_matrix(const Architecture& model);     ///< V D, tied or not

/// (F.1) for any architecture: L block_matrices + V D (2 V D if untied). Leading order, as (F.1).
Parameters approximate_parameters(const Architecture& model);

/// Parameters a decode step reads: all but the embedding's rows of other tokens and the position table; a tied
/// embedding is read whole as the head.
Parameters decoded_parameters(const Architecture& model);

}  // namespace dtcalc::formulas
