// cuBLASLt, opened when the first GPU engine is made: a program built with CUDA starts on machines that lack the
// library (hundreds of megabytes) and says so only when it is needed. Called by product.cpp.
#pragma once

#include <cublasLt.h>

#include "costmodel/error.hpp"

namespace dtcalc::cuda {

/// The functions that the backend calls, under the library's own names without prefix.
struct BlasLibrary {
  decltype(&::cublasLtCreate) create = nullptr;
  decltype(&::cublasLtDestroy) destroy = nullptr;
  decltype(&::cublasLtGetVersion) version = nullptr;
  decltype(&::cublasLtMatmul) matmul = nullptr;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&::cublasLtMatmulDescCreate) operation_create = nullptr;
  decltype(&::cublasLtMatmulDescDestroy) operation_destroy = nullptr;
  decltype(&::cublasLtMatmulDescSetAttribute) operation_set = nullptr;
  decltype(&::cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&::cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&::cublasLtMatrixLayoutSetAttribute) layout_set = nullptr;
  decltype(&::cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&::cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
};

/// Opens the library once per process. An error of kind `device` when it is not there.
Result<const BlasLibrary*> open_blas_library();

}  // namespace dtcalc::cuda
