// Matrix products by cuBLASLt: a plan per shape, whose algorithm was chosen by timing the library's candidates on
// random data. Called by the executor and by measurements.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/types.hpp"

namespace dtcalc::cuda {

/// Storage of the row-major operands of C (m, n), as dtcalc::cpu::Layout: nt A (m, k) B (n, k)^T, nn A (m, k) B (k, n),
/// tn A (k, m)^T B (k, n).
enum class Layout : std::uint8_t { nt, nn, tn };

/// One product or a strided batch of them, in elements. All that the choice of an algorithm depends on.
struct ProductShape {
  Layout layout = Layout::nt;
  Dtype operands = Dtype::bf16;  ///< of A and B; tf32 is stored as fp32, fp8 is E4M3 and wants layout nt
  bool gradient = false;         ///< fp8: A is E5M2, and sums keep their precision throughout
  Dtype output = Dtype::bf16;    ///< of C
  bool accumulate = false;       ///< C += A B
  bool bias = false;             ///< C = A B + bias (n), in the output's type
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;  ///< between rows
  std::int64_t batch = 1;
  std::int64_t a_step = 0, b_step = 0, c_step = 0;  ///< between the products of a batch
  int alignment = 16;                               ///< bytes that all addresses are multiples of, at most 16

  friend auto operator<=>(const ProductShape&, const ProductShape&) = default;
};

/// Factors on the operands of an fp8 product, in device memory; null: 1.
struct ProductScales {
  const float *a = nullptr, *b = nullptr;
};

/// Dense rows.
ProductShape dense_product(Layout layout, std::int64_t m, std::int64_t n, std::int64_t k);

/// The largest power of two up to 16 that divides every address and step.
int common_alignment(const ProductShape& shape, const void* a, const void* b, const void* c);

/// What was chosen for a shape.
struct ProductChoice {
  std::array<std::uint64_t, 8> algorithm{};  ///< cublasLtMatmulAlgo_t
  double seconds = 0;                        ///< of one call, median
  std::int64_t candidates = 0;
};

struct BlasState;

/// Plans by shape. Choices come from the tuning file if it knows the shape on this device and library, else from
/// timing; `save` writes all of them. Products enqueue on the given stream only.
class Products {
 public:
  /// `workspace_bytes`: what a product may use; `tuning`: the file, empty for none.
  static Result<Products> make(std::int64_t workspace_bytes, std::string device, std::filesystem::path tuning);
  Products(Products&&) noexcept;
  Products& operator=(Products&&) noexcept;
  ~Products();

  /// Makes the plans of these shapes, timing those that are new. Allocates and frees memory on the GPU.
  [[nodiscard]] std::optional<Error> plan(const std::vector<ProductShape>& shapes, cudaStream_t stream);
  /// C = or += A B. A shape that has no plan gets the library's first candidate.
  [[nodiscard]] std::optional<Error> run(const ProductShape& shape, const void* a, const void* b, void* c,
                                         const void* bias, void* workspace, cudaStream_t stream,
                                         const ProductScales& scales = {});
  const std::map<ProductShape, ProductChoice>& choices() const;
  /// Writes the tuning file, keeping what it holds of other shapes and devices.
  [[nodiscard]] std::optional<Error> save() const;

 private:
  explicit Products(std::unique_ptr<BlasState> state);
  std::unique_ptr<BlasState> state_;
};

/// The file of this user's choices: `dtcalc/products.json` in $XDG_CACHE_HOME or ~/.cache; empty without either.
std::filesystem::path default_tuning_file();

}  // namespace dtcalc::cuda
