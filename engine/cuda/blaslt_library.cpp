#include "engine/cuda/blaslt_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

namespace dtcalc::cuda {
namespace {

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

Result<BlasLibrary> load() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen(fmt::format("{}/{}", DTCALC_CUDA_LIBRARY_DIR, name).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return Error{"device", "cuda", fmt::format("cannot be used: {} is not on this machine", name),
                 "install cuBLAS of the CUDA toolkit or add its folder to LD_LIBRARY_PATH", ErrorKind::device};
  BlasLibrary f;
  const bool complete = find(library, "cublasLtCreate", f.create) && find(library, "cublasLtDestroy", f.destroy) &&
                        find(library, "cublasLtGetVersion", f.version) && find(library, "cublasLtMatmul", f.matmul) &&
                        find(library, "cublasLtMatmulAlgoGetHeuristic", f.heuristic) &&
                        find(library, "cublasLtMatmulDescCreate", f.operation_create) &&
                        find(library, "cublasLtMatmulDescDestroy", f.operation_destroy) &&
                        find(library, "cublasLtMatmulDescSetAttribute", f.operation_set) &&
                        find(library, "cublasLtMatrixLayoutCreate", f.layout_create) &&
                        find(library, "cublasLtMatrixLayoutDestroy", f.layout_destroy) &&
                        find(library, "cublasLtMatrixLayoutSetAttribute", f.layout_set) &&
                        find(library, "cublasLtMatmulPreferenceCreate", f.preference_create) &&
                        find(library, "cublasLtMatmulPreferenceDestroy", f.preference_destroy) &&
                        find(library, "cublasLtMatmulPreferenceSetAttribute", f.preference_set);
  if (!complete)
    return Error{"device", name, "lacks a function of the version this was built with", "install a newer cuBLAS",
                 ErrorKind::device};
  return f;
}

}  // namespace

Result<const BlasLibrary*> open_blas_library() {
  static const Result<BlasLibrary> library = load();
  if (!library) return library.errors();
  return &library.value();
}

}  // namespace dtcalc::cuda
