#include "engine/cuda/product.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "engine/cuda/product_plan.hpp"
#include "engine/cuda/status.hpp"

namespace dtcalc::cuda {
namespace {

cudaDataType_t type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::bf16:
      return CUDA_R_16BF;
    case Dtype::fp16:
      return CUDA_R_16F;
    case Dtype::fp8:
      return CUDA_R_8F_E4M3;
    default:
      return CUDA_R_32F;
  }
}

template <class Value>
cublasStatus_t set(const BlasLibrary& f, cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                   const Value& value) {
  return f.operation_set(operation, attribute, &value, sizeof(value));
}

/// A column-major matrix of `rows` contiguous elements a column.
cublasStatus_t make_layout(const BlasLibrary& f, cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                           std::int64_t stride, std::int64_t batch, std::int64_t step, cublasLtMatrixLayout_t& layout) {
  cublasStatus_t status =
      f.layout_create(&layout, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), stride);
  if (status != CUBLAS_STATUS_SUCCESS || batch == 1) return status;
  const auto count = static_cast<std::int32_t>(batch);
  status = f.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count));
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  return f.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof(step));
}

cublasStatus_t describe(const BlasLibrary& f, const ProductShape& s, ProductPlan& plan) {
  const cublasComputeType_t compute = s.operands == Dtype::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  const cublasOperation_t first = s.layout == Layout::nt ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = s.layout == Layout::tn ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasStatus_t status = f.operation_create(&plan.operation, compute, CUDA_R_32F);
  const auto next = [&](auto&& call) {
    if (status == CUBLAS_STATUS_SUCCESS) status = call();
  };
  next([&] { return set(f, plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, first); });
  next([&] { return set(f, plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, second); });
  if (s.bias) {
    next([&] { return set(f, plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS); });
    next([&] { return set(f, plan.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(s.output)); });
  }
  if (s.operands == Dtype::fp8)
    next([&] {
      // Partial sums of 14 bits between the instructions: what forward products stand, and gradients do not (the same
      // choice as Transformer Engine's `use_split_accumulator`).
      const auto fast = static_cast<std::int8_t>(!s.gradient);
      return set(f, plan.operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast);
    });
  const bool b_by_rows_of_k = s.layout == Layout::nt;  // B is stored (n, k)
  next([&] {
    return make_layout(f, type_of(s.operands), b_by_rows_of_k ? s.k : s.n, b_by_rows_of_k ? s.n : s.k, s.b_stride,
                       s.batch, s.b_step, plan.first);
  });
  const bool a_by_rows_of_m = s.layout == Layout::tn;  // A is stored (k, m)
  next([&] {
    return make_layout(f, s.gradient ? CUDA_R_8F_E5M2 : type_of(s.operands), a_by_rows_of_m ? s.m : s.k,
                       a_by_rows_of_m ? s.k : s.m, s.a_stride, s.batch, s.a_step, plan.second);
  });
  next([&] { return make_layout(f, type_of(s.output), s.n, s.m, s.c_stride, s.batch, s.c_step, plan.output); });
  return status;
}

}  // namespace

BlasState::~BlasState() {
  for (auto& [shape, plan] : plans) {
    if (plan.operation) library->operation_destroy(plan.operation);
    for (cublasLtMatrixLayout_t layout : {plan.first, plan.second, plan.output})
      if (layout) library->layout_destroy(layout);
  }
  if (handle) library->destroy(handle);
}

ProductShape dense_product(Layout layout, std::int64_t m, std::int64_t n, std::int64_t k) {
  ProductShape s;
  s.layout = layout;
  s.m = m, s.n = n, s.k = k;
  s.a_stride = layout == Layout::tn ? m : k;
  s.b_stride = layout == Layout::nt ? k : n;
  s.c_stride = n;
  return s;
}

int common_alignment(const ProductShape& s, const void* a, const void* b, const void* c) {
  const auto in = static_cast<std::uintptr_t>(element_bytes(s.operands));
  const auto out = static_cast<std::uintptr_t>(element_bytes(s.output));
  std::uintptr_t bits = 16 | reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) |
                        reinterpret_cast<std::uintptr_t>(c);
  for (const std::int64_t count : {s.a_stride, s.b_stride, s.a_step, s.b_step})
    bits |= static_cast<std::uintptr_t>(count) * in;
  for (const std::int64_t count : {s.c_stride, s.c_step}) bits |= static_cast<std::uintptr_t>(count) * out;
  return static_cast<int>(std::uintptr_t{1} << std::countr_zero(bits));
}

std::string text_of(const ProductShape& s) {
  constexpr const char* layouts[] = {"nt", "nn", "tn"};
  const auto name = [](Dtype d) {
    return d == Dtype::bf16 ? "bf16" : d == Dtype::fp16 ? "fp16" : d == Dtype::tf32 ? "tf32" : "fp32";
  };
  const char* const operands = s.operands != Dtype::fp8 ? name(s.operands) : s.gradient ? "e5m2" : "e4m3";
  return fmt::format("{} {}->{}{}{} {}x{}x{} rows {},{},{} batch {} steps {},{},{} aligned {}",
                     layouts[static_cast<int>(s.layout)], operands, name(s.output), s.accumulate ? " accumulate" : "",
                     s.bias ? " bias" : "", s.m, s.n, s.k, s.a_stride, s.b_stride, s.c_stride, s.batch, s.a_step,
                     s.b_step, s.c_step, s.alignment);
}

cublasStatus_t set_scales(const BlasState& state, const ProductPlan& plan, const ProductScales& scales) {
  const cublasStatus_t status = set(*state.library, plan.operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales.b);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  return set(*state.library, plan.operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales.a);
}

cublasStatus_t enqueue(const BlasState& state, const ProductShape& shape, const ProductPlan& plan,
                       const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b, void* c, const void* bias,
                       void* workspace, cudaStream_t stream, const ProductScales& scales) {
  const float one = 1, factor = shape.accumulate ? 1.0f : 0.0f;
  if (shape.bias) {
    const cublasStatus_t status = set(*state.library, plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
  }
  if (shape.operands == Dtype::fp8)
    if (const cublasStatus_t status = set_scales(state, plan, scales); status != CUBLAS_STATUS_SUCCESS) return status;
  return state.library->matmul(state.handle, plan.operation, &one, b, plan.first, a, plan.second, &factor, c,
                               plan.output, c, plan.output, &algorithm, workspace, state.workspace_bytes, stream);
}

Result<std::vector<cublasLtMatmulAlgo_t>> candidates(const BlasState& state, const ProductShape& shape,
                                                     const ProductPlan& plan) {
  const BlasLibrary& f = *state.library;
  cublasLtMatmulPreference_t preference = nullptr;
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
  int count = 0;
  cublasStatus_t status = f.preference_create(&preference);
  const auto next = [&](auto&& call) {
    if (status == CUBLAS_STATUS_SUCCESS) status = call();
  };
  const auto setting = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return f.preference_set(preference, attribute, &value, sizeof(value));
  };
  const auto alignment = static_cast<std::uint32_t>(shape.alignment);
  next([&] { return setting(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, state.workspace_bytes); });
  for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    next([&] { return setting(attribute, alignment); });
  next([&] {
    return f.heuristic(state.handle, plan.operation, plan.first, plan.second, plan.output, plan.output, preference,
                       kCandidates, found.data(), &count);
  });
  if (preference) f.preference_destroy(preference);
  if (auto error = error_of_blas(status, text_of(shape))) return *error;
  std::vector<cublasLtMatmulAlgo_t> list;
  for (int i = 0; i < count; ++i)
    if (found[static_cast<std::size_t>(i)].state == CUBLAS_STATUS_SUCCESS)
      list.push_back(found[static_cast<std::size_t>(i)].algo);
  if (list.empty()) return *error_of_blas(CUBLAS_STATUS_NOT_SUPPORTED, text_of(shape));
  return list;
}

Result<Products> Products::make(std::int64_t workspace_bytes, std::string device, std::filesystem::path tuning) {
  const Result<const BlasLibrary*> library = open_blas_library();
  if (!library) return library.errors();
  auto state = std::make_unique<BlasState>();
  state->library = *library;
  state->workspace_bytes = static_cast<std::size_t>(workspace_bytes);
  state->device = std::move(device);
  state->tuning = std::move(tuning);
  if (auto error = error_of_blas(state->library->create(&state->handle), "opening cuBLASLt")) return *error;
  return Products(std::move(state));
}

Products::Products(std::unique_ptr<BlasState> state) : state_(std::move(state)) {}
Products::Products(Products&&) noexcept = default;
Products& Products::operator=(Products&&) noexcept = default;
Products::~Products() = default;

std::optional<Error> Products::plan(const std::vector<ProductShape>& shapes, cudaStream_t stream) {
  const std::map<std::string, ProductChoice> known = read_tuning(*state_);
  std::vector<ProductShape> unknown;
  for (const ProductShape& shape : shapes) {
    if (state_->plans.contains(shape)) continue;
    ProductPlan& plan = state_->plans[shape];
    if (auto error = error_of_blas(describe(*state_->library, shape, plan), text_of(shape))) return error;
    const auto found = known.find(text_of(shape));
    if (found == known.end()) {
      unknown.push_back(shape);
      continue;
    }
    state_->choices[shape] = found->second;
    std::copy(found->second.algorithm.begin(), found->second.algorithm.end(), plan.algorithm.data);
  }
  return unknown.empty() ? std::nullopt : tune(*state_, unknown, stream);
}

std::optional<Error> Products::run(const ProductShape& shape, const void* a, const void* b, void* c, const void* bias,
                                   void* workspace, cudaStream_t stream, const ProductScales& scales) {
  auto found = state_->plans.find(shape);
  if (found == state_->plans.end()) {
    ProductPlan& plan = state_->plans[shape];
    if (auto error = error_of_blas(describe(*state_->library, shape, plan), text_of(shape))) return error;
    const auto list = candidates(*state_, shape, plan);
    if (!list) return list.errors().front();
    plan.algorithm = list->front();
    found = state_->plans.find(shape);
  }
  const ProductPlan& plan = found->second;
  return error_of_blas(enqueue(*state_, shape, plan, plan.algorithm, a, b, c, bias, workspace, stream, scales),
                       text_of(shape));
}

const std::map<ProductShape, ProductChoice>& Products::choices() const { return state_->choices; }

}  // namespace dtcalc::cuda
