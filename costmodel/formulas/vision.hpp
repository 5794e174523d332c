// Closed forms of Sec. 8 and 9: sequence length, parameters and FLOPs of a ViT, parameters of CLIP. Used by the tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// A vision Transformer: pre-norm blocks with biases, learned positions. Square image, patch divides it.
struct VisionTransformer {
  std::int64_t image = 224, patch = 16, channels = 3;  ///< pixels
  std::int64_t L = 12, D = 768, F = 3072;
  std::int64_t classes = 0;  ///< a Linear with bias on [CLS]; 0: none
  std::int64_t proj = 0;     ///< a Linear without bias to this width (CLIP); 0: none
  bool patch_bias = true, cls = true, pre_ln = false, post_ln = true;
};

/// Sec. 8 with E16: (image/patch)^2, + 1 with [CLS]; channels are features of a patch, not positions.
std::int64_t vit_seq_len(std::int64_t image, std::int64_t patch, bool cls);

/// Exact: patch embedding, [CLS], positions, L blocks of 4D^2 + 2DF + 9D + F, norms before and after, head, projection.
Parameters vit_params(const VisionTransformer& model);

/// Backward products, exact: twice the forward, but the patch embedding needs no dgrad (E28). The classes act on [CLS]
/// only, attention is not causal.
Flop vit_backward_flops(const VisionTransformer& model, std::int64_t B);

struct ClipParameters {
  Parameters vision, text, total;  ///< total = vision + text + the learned temperature
};
/// "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px" of Radford et al. 2021; nothing for other names.
std::optional<ClipParameters> clip_params(std::string_view name);

}  // namespace dtcalc::formulas
