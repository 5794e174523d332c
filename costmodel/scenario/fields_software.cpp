// The keys of the section `software`: what a stack fuses, saves and pays.
#include "costmodel/scenario/field_rows.hpp"

namespace dtcalc {

namespace field_rows {

std::vector<Field> software() {
  using S = Scenario;
  using W = Software;
  return {
      in<&S::software, &W::id>("/software/id", "Name of the profile."),
      in<&S::software, &W::source>("/software/source", "Where the facts come from."),
      in<&S::software, &W::notes>("/software/notes", "What the profile stands for."),
      in<&S::software, &W::attention>("/software/attention",
                                      "Kernel used when the scenario's attention is automatic; flash stores no S x S."),
      in<&S::software, &W::fuse_embedding>("/software/fuse_embedding",
                                           "Token and position look-up and their dropout are one kernel."),
      in<&S::software, &W::fuse_bias>("/software/fuse_bias", "A product's bias is added inside its kernel."),
      in<&S::software, &W::fuse_residual_norm>("/software/fuse_residual_norm",
                                               "Residual addition and norm are one kernel."),
      in<&S::software, &W::fuse_norm>("/software/fuse_norm",
                                      "A norm is one kernel; otherwise a chain of kernels over an fp32 copy."),
      in<&S::software, &W::fuse_rope>(
          "/software/fuse_rope",
          "Rotary embedding is one kernel; otherwise a cast, a complex product in fp32 and a cast."),
      in<&S::software, &W::fuse_softmax>("/software/fuse_softmax",
                                         "Scale, mask, softmax and dropout of naive attention are one kernel."),
      in<&S::software, &W::fuse_gated_activation>("/software/fuse_gated_activation",
                                                  "Activation and gate product are one kernel."),
      in<&S::software, &W::fuse_qkv>("/software/fuse_qkv", "Query, key and value are one matrix product."),
      in<&S::software, &W::fuse_gate_up>("/software/fuse_gate_up", "Gate and up are one matrix product."),
      in<&S::software, &W::fuse_rope_cache>(
          "/software/fuse_rope_cache", "Rotary embedding of queries and keys and the cache's append are one kernel."),
      in<&S::software, &W::fuse_loss>("/software/fuse_loss",
                                      "Loss and its gradient are computed in place over the logits."),
      in<&S::software, &W::copy_logits>(
          "/software/copy_logits",
          "The loss keeps fp32 copies: of the logits, of their log-softmax and of its gradient."),
      in<&S::software, &W::fp8_casts>(
          "/software/fp8_casts",
          "Under fp8_mixed a kernel casts each operand of a block's products, and its transpose where a gradient reads "
          "that: copies of 1 byte stand in memory, in place of 2 bytes where the backward pass reads nothing else. "
          "Otherwise the casts are counted in the products' time alone."),
      in<&S::software, &W::narrow_logits>("/software/narrow_logits",
                                          "Logits are kept in the 2 bytes of mixed precision, not in 4."),
      in<&S::software, &W::fuse_output_dropout>("/software/fuse_output_dropout",
                                                "Dropout of a projection's output is applied with its bias."),
      in<&S::software, &W::fuse_optimizer>("/software/fuse_optimizer",
                                           "The optimizer is one pass over all parameters, not kernels per tensor."),
      in<&S::software, &W::in_place>("/software/in_place",
                                     "An elementwise kernel writes over an input that nothing else needs."),
      in<&S::software, &W::store_dropout_masks>("/software/store_dropout_masks",
                                                "Masks take a byte per element; otherwise they are generated again."),
      in<&S::software, &W::save_norm_statistics>("/software/save_norm_statistics",
                                                 "Mean and 1/std of each position are kept for the backward pass."),
      in<&S::software, &W::recompute_segment>(
          "/software/recompute_segment",
          "Recomputation replays the whole segment, not only what the backward pass needs."),
      in<&S::software, &W::keep_attention_result>(
          "/software/keep_attention_result",
          "Recomputation per operator keeps what fused attention hands to its backward pass."),
      in<&S::software, &W::keep_unread_results>(
          "/software/keep_unread_results",
          "Recomputation per operator holds every result it keeps, even one that the backward pass never reads."),
      in<&S::software, &W::flash_kernel>("/software/flash_kernel",
                                         "Generation of its fused attention: the share of the peak that it reaches."),
      in<&S::software, &W::flash_query_tile>("/software/flash_query_tile", positive(65536),
                                             "Queries of a flash attention tile.", "", "tokens"),
      in<&S::software, &W::flash_key_tile>("/software/flash_key_tile", positive(65536),
                                           "Keys of a flash attention tile.", "", "tokens"),
      in<&S::software, &W::flash_skips_masked_tiles>("/software/flash_skips_masked_tiles",
                                                     "Flash attention skips tiles that the mask empties."),
      in<&S::software, &W::overlap_gradient_reduction>(
          "/software/overlap_gradient_reduction",
          "Whether gradients are reduced over data-parallel devices while the backward pass still runs."),
      in<&S::software, &W::overlap_parameter_gather>(
          "/software/overlap_parameter_gather",
          "Whether ZeRO's sharded parameters are gathered while other layers compute."),
      in<&S::software, &W::direct_all_reduce>("/software/direct_all_reduce",
                                              "All-reduces inside a node may read the other ranks' memory in one "
                                              "kernel, without the library's ring or tree."),
      in<&S::software, &W::allocator>(
          "/software/allocator",
          "Who hands out device memory: with PyTorch's caching allocator, `estimate` says what it reserves."),
      in<&S::software, &W::alignment_bytes>("/software/alignment_bytes", positive(1 << 21),
                                            "Every buffer starts at a multiple of it; rounds memory up.", "", "bytes"),
      in<&S::software, &W::launch_overhead>("/software/launch_overhead_s", count(max_seconds),
                                            "Host cost per kernel that this stack adds to the device's own."),
      in<&S::software, &W::cuda_graphs>("/software/cuda_graphs",
                                        "The step is replayed as a graph: the host costs nothing per kernel."),
      in<&S::software, &W::stack>(
          "/software/stack", "Stack that the profile is a mode of: modes share the fitted constants. Empty: its id."),
      in<&S::software, &W::compute_time_factor>(
          "/software/compute_time_factor", time_factor,
          "Fitted: time of matrix products and fused attention over that at the achievable rate."),
      in<&S::software, &W::memory_time_factor>("/software/memory_time_factor", time_factor,
                                               "Fitted: time per byte of memory over that at the achievable rate."),
      in<&S::software, &W::communication_time_factor>("/software/communication_time_factor", time_factor,
                                                      "Fitted: time of collectives over that of the cluster's rates."),
      in<&S::software, &W::fitted_on>("/software/fitted_on",
                                      "Published families whose rows the fitted constants come from."),
  };
}

}  // namespace field_rows
}  // namespace dtcalc
