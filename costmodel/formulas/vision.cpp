// ViT and CLIP; see vision.hpp.
#include "costmodel/formulas/vision.hpp"

#include "costmodel/formulas/exact.hpp"

namespace dtcalc::formulas {
namespace {

/// 4D^2 + 4D, D F + F, F D + D, and two norms of 2D.
Wide block_parameters(Wide D, Wide F) { return 4 * D * D + 2 * D * F + 9 * D + F; }

struct ClipModel {
  std::string_view name;
  VisionTransformer vision;
  std::int64_t text_width;
};

VisionTransformer clip_vision(std::int64_t image, std::int64_t patch, std::int64_t L, std::int64_t D,
                              std::int64_t proj) {
  VisionTransformer v;
  v.image = image, v.patch = patch, v.L = L, v.D = D, v.F = 4 * D, v.proj = proj;
  v.patch_bias = false, v.pre_ln = true;
  return v;
}

/// Text tower: 12 blocks, 49408 byte-pair tokens, 77 positions, final norm, projection to the common width without
/// bias.
Wide clip_text_parameters(Wide D, Wide proj) {
  constexpr std::int64_t blocks = 12, vocabulary = 49408, positions = 77;
  return (vocabulary + positions) * D + blocks * block_parameters(D, 4 * D) + 2 * D + D * proj;
}

}  // namespace

std::int64_t vit_seq_len(std::int64_t image, std::int64_t patch, bool cls) {
  return (image / patch) * (image / patch) + (cls ? 1 : 0);
}

Parameters vit_params(const VisionTransformer& v) {
  const Wide D = v.D;
  const Wide patches = Wide{v.channels} * v.patch * v.patch * D + (v.patch_bias ? D : 0);
  const Wide positions = (vit_seq_len(v.image, v.patch, v.cls) + (v.cls ? 1 : 0)) * D;
  const Wide norms = 2 * D * ((v.pre_ln ? 1 : 0) + (v.post_ln ? 1 : 0));
  const Wide head = v.classes * (D + 1) + D * v.proj;
  return parameters(patches + positions + v.L * block_parameters(D, v.F) + norms + head);
}

Flop vit_backward_flops(const VisionTransformer& v, std::int64_t B) {
  const Wide D = v.D, S = vit_seq_len(v.image, v.patch, v.cls), patches = vit_seq_len(v.image, v.patch, false);
  const Wide blocks = v.L * (2 * S * (4 * D * D + 2 * D * v.F) + 4 * D * S * S);
  const Wide embedding = 2 * patches * D * v.channels * v.patch * v.patch;
  const Wide head = 2 * D * (v.classes + v.proj);
  return flop(B * (2 * blocks + embedding + 2 * head));
}

std::optional<ClipParameters> clip_params(std::string_view name) {
  const ClipModel models[] = {{"ViT-B/32", clip_vision(224, 32, 12, 768, 512), 512},
                              {"ViT-B/16", clip_vision(224, 16, 12, 768, 512), 512},
                              {"ViT-L/14", clip_vision(224, 14, 24, 1024, 768), 768},
                              {"ViT-L/14@336px", clip_vision(336, 14, 24, 1024, 768), 768}};
  for (const ClipModel& model : models) {
    if (model.name != name) continue;
    const Parameters vision = vit_params(model.vision);
    const Parameters text = parameters(clip_text_parameters(model.text_width, model.vision.proj));
    return ClipParameters{vision, text, vision + text + Parameters(1)};
  }
  return std::nullopt;
}

}  // namespace dtcalc::formulas
