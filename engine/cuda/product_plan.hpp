// The descriptors of one matrix product, and what plans share. Internal to product.cpp and product_tuning.cpp.
#pragma once

#include <memory>
#include <optional>

#include "engine/cuda/blaslt_library.hpp"
#include "engine/cuda/product.hpp"

namespace dtcalc::cuda {

/// cuBLASLt counts columns first: the row-major C = A B is its C^T = B^T A^T, so B comes first and m and n change
/// places.
struct ProductPlan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, output = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
};

struct BlasState {
  const BlasLibrary* library = nullptr;
  cublasLtHandle_t handle = nullptr;
  std::size_t workspace_bytes = 0;
  std::string device;
  std::filesystem::path tuning;
  std::map<ProductShape, ProductPlan> plans;
  std::map<ProductShape, ProductChoice> choices;
  std::map<ProductShape, ProductChoice> known;  ///< of the tuning file

  BlasState() = default;
  BlasState(const BlasState&) = delete;
  BlasState& operator=(const BlasState&) = delete;
  ~BlasState();
};

/// Where the factors of fp8 operands lie. Set before candidates are asked for, too: algorithms for products with
/// factors are others than those without.
cublasStatus_t set_scales(const BlasState& state, const ProductPlan& plan, const ProductScales& scales);

/// Enqueues one product by a given algorithm; returns the library's status.
cublasStatus_t enqueue(const BlasState& state, const ProductShape& shape, const ProductPlan& plan,
                       const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b, void* c, const void* bias,
                       void* workspace, cudaStream_t stream, const ProductScales& scales);

/// The library's candidates for a plan, at most kCandidates, by its own estimate.
inline constexpr int kCandidates = 12;
Result<std::vector<cublasLtMatmulAlgo_t>> candidates(const BlasState& state, const ProductShape& shape,
                                                     const ProductPlan& plan);

/// Bytes of an element as it is stored.
inline int element_bytes(Dtype dtype) { return half_bytes(dtype) / 2; }

/// Times every candidate of every shape on normal random data and keeps the fastest.
[[nodiscard]] std::optional<Error> tune(BlasState& state, const std::vector<ProductShape>& shapes, cudaStream_t stream);

/// `fp32 nt 1024x768x3072 …`: names a shape in the tuning file and in errors.
std::string text_of(const ProductShape& shape);

/// What the file knows of this device and library; nothing if it is absent or of another format.
std::map<std::string, ProductChoice> read_tuning(const BlasState& state);

}  // namespace dtcalc::cuda
