// Life of an engine on the GPU: what it refuses, its arena, the order of programs in a step, and the state on its way
// to and from the host. Kernels are called in executor_kernels.cpp.
#include "engine/cuda/executor.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>

#include "engine/cpu/attention.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/initialize.hpp"
#include "engine/cuda/refusal.hpp"
#include "engine/cuda/status.hpp"
#include "engine/train/tensors.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/optimizer.hpp"

namespace dtcalc::cuda {
namespace {

/// torch.amp.GradScaler's documented defaults: first factor, growth by 2 after so many good steps, halved by a bad one.
constexpr double kFirstLossScale = 65536;
constexpr std::int64_t kScaleInterval = 2000;

std::size_t bytes(std::int64_t count) { return static_cast<std::size_t>(count); }

std::int64_t round_up(std::int64_t value) { return (value + 255) / 256 * 256; }

}  // namespace

template <class T>
CudaEngine<T>::CudaEngine(const Scenario& scenario, const EngineOptions& options)
    : scenario_(scenario),
      options_(options),
      training_(bind_training(scenario)),
      evaluation_(bind_forward(scenario, training_, scenario.training.micro_batch, scenario.training.sequence)),
      parameters_(list_parameters(training_)),
      workspace_(cuda_workspace(scenario, true)),
      master_offset_(std::is_same_v<T, float> ? training_.plan.parameters : training_.plan.master),
      pool_(options.threads) {
  if (std::is_same_v<T, fp16>) scale_.factor = kFirstLossScale;
  clocks_.start(training_, options.clocks);
}

template <class T>
CudaEngine<T>::~CudaEngine() {
  if (stream_) (void)cudaStreamSynchronize(stream_);
  for (const auto& [key, graph] : graphs_) (void)cudaGraphExecDestroy(graph);
  if (stream_) (void)cudaStreamDestroy(stream_);
}

template <class T>
Result<std::unique_ptr<Engine>> CudaEngine<T>::make(const Scenario& scenario, const EngineOptions& options,
                                                    const GpuDescription& gpu) {
  std::unique_ptr<CudaEngine> engine(new CudaEngine(scenario, options));
  if (auto error = refuse_workspace(scenario, engine->workspace_)) return *error;
  if (auto error = engine->prepare(gpu)) return *error;
  return std::unique_ptr<Engine>(std::move(engine));
}

template <class T>
Failure CudaEngine<T>::prepare(const GpuDescription& gpu) {
  if (auto error = error_of(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream")) return error;
  auto products = Products::make(workspace_.temporary.value(), gpu.name, default_tuning_file());
  if (!products) return products.errors().front();
  products_ = std::make_unique<Products>(std::move(products).value());
  // Before the arena is taken, so that the operands of the timings have room.
  if (auto error = products_->plan(product_shapes(), stream_)) return error;
  if (auto error = products_->save()) return error;

  const std::int64_t transient = evaluation_.plan.total + evaluation_.shift;
  auto arena = DeviceMemory::make(std::max(training_.plan.total, transient) + options_.slack_bytes);
  if (!arena) return arena.errors().front();
  arena_ = std::move(arena).value();
  auto inputs = PinnedMemory::make(2 * training_.rows() * 4);
  auto results = PinnedMemory::make(sizeof(Scalars));
  if (!inputs) return inputs.errors().front();
  if (!results) return results.errors().front();
  inputs_ = std::move(inputs).value();
  results_ = std::move(results).value();
  context_ = {stream_, temporary(), workspace_.temporary.value()};
  return fill_tables();
}

/// Cosines and sines of all positions, or the slopes of ALiBi.
template <class T>
Failure CudaEngine<T>::fill_tables() {
  const Model& model = scenario_.model;
  std::byte* const tables = at<std::byte>(training_.plan.workspace + workspace_.scalars.value());
  const auto upload = [&](const std::vector<float>& values, std::byte* to) {
    return error_of(cudaMemcpy(to, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice), "tables");
  };
  if (model.position == Position::rope) {
    const std::int64_t count = scenario_.training.sequence * (rotary_size(model) / 2);
    std::vector<float> cosine(bytes(count)), sine(bytes(count));
    if (auto error = cpu::fill_rope_table<float>(model.rope, model.head_size, 0, scenario_.training.sequence,
                                                 cosine.data(), sine.data()))
      return error;
    if (auto error = upload(cosine, tables)) return error;
    return upload(sine, tables + round_up(count * 4));
  }
  if (model.position == Position::alibi) {
    const std::vector<double> slopes = cpu::alibi_slopes(model.heads);
    return upload({slopes.begin(), slopes.end()}, tables);
  }
  return std::nullopt;
}

/// Every product of a training step and of an evaluation, as the executor will ask for it.
template <class T>
std::vector<ProductShape> CudaEngine<T>::product_shapes() {
  std::vector<ProductShape> list;
  collecting_ = &list;
  for (const Binding* b : {&training_, &evaluation_})
    for (std::int64_t layer = -1; layer <= b->layers; ++layer)
      for (const bool forward : {true, false}) (void)run(*b, layer, forward);  // notes shapes, enqueues nothing
  collecting_ = nullptr;
  const std::set<ProductShape> unique(list.begin(), list.end());
  return {unique.begin(), unique.end()};
}

// --- state ----------------------------------------------------------------------------------------------------------

template <class T>
Failure CudaEngine<T>::wait(const char* what) {
  return error_of(cudaStreamSynchronize(stream_), what);
}

template <class T>
Failure CudaEngine<T>::initialize(std::uint64_t seed) {
  const ParameterElements& elements = training_.plan.elements;
  host_masters_.assign(bytes(elements.trained + elements.frozen), 0.0f);
  cpu::initialize_parameters(pool_, scenario_.model, seed, parameters_, host_masters_.data());
  host_moments_.clear();
  host_history_.clear();
  const std::int64_t moment_bytes = training_.sizes.state.moments * trained() * 4;
  if (auto error = error_of(cudaMemsetAsync(moment(0), 0, bytes(moment_bytes), stream_), "moments")) return error;
  return take_state();
}

template <class T>
Failure CudaEngine<T>::take_state() {
  const std::size_t region = bytes(trained()) * sizeof(float);
  const auto upload = [&](void* to, const std::vector<float>& from, std::size_t size) {
    return error_of(cudaMemcpyAsync(to, from.data(), size, cudaMemcpyHostToDevice, stream_), "training state");
  };
  if (auto error = upload(masters(), host_masters_, region)) return error;
  if (auto error = upload(moment(0), host_moments_, host_moments_.size() * sizeof(float))) return error;
  if (auto error = error_of(cudaMemsetAsync(gradients(), 0, region, stream_), "gradients")) return error;
  if (auto error = weights_from_masters()) return error;
  if (auto error = upload_frozen()) return error;
  if (auto error = upload_history()) return error;
  return wait("training state");
}

template <class T>
Failure CudaEngine<T>::weights_from_masters() {
  if constexpr (std::is_same_v<T, float>)
    return std::nullopt;
  else
    return error_of(cast(context_, trained(), masters(), weights()), "weights");
}

/// Frozen parameters have no master: they lie in the weights alone, rounded once.
template <class T>
Failure CudaEngine<T>::upload_frozen() {
  const std::size_t frozen = bytes(training_.plan.elements.frozen);
  host_frozen_.resize(frozen);
  std::copy_n(host_masters_.begin() + trained(), frozen, host_frozen_.begin());
  return error_of(
      cudaMemcpyAsync(weights() + trained(), host_frozen_.data(), frozen * sizeof(T), cudaMemcpyHostToDevice, stream_),
      "frozen parameters");
}

/// Into `host_masters_`; waits for the stream.
template <class T>
Failure CudaEngine<T>::download_frozen() {
  host_frozen_.resize(bytes(training_.plan.elements.frozen));
  if (auto error = error_of(cudaMemcpyAsync(host_frozen_.data(), weights() + trained(), host_frozen_.size() * sizeof(T),
                                            cudaMemcpyDeviceToHost, stream_),
                            "frozen parameters"))
    return error;
  if (auto error = wait("frozen parameters")) return error;
  std::transform(host_frozen_.begin(), host_frozen_.end(), host_masters_.begin() + trained(),
                 [](T value) { return static_cast<float>(value); });
  return std::nullopt;
}

template <class T>
Result<StateTensors> CudaEngine<T>::state() {
  const int moments = training_.sizes.state.moments;
  host_masters_.resize(bytes(trained() + training_.plan.elements.frozen));
  host_moments_.resize(bytes(moments * trained()));
  const auto download = [&](std::vector<float>& to, const float* from, std::int64_t elements) {
    return error_of(cudaMemcpyAsync(to.data(), from, bytes(elements) * sizeof(float), cudaMemcpyDeviceToHost, stream_),
                    "training state");
  };
  if (auto error = download(host_masters_, masters(), trained())) return *error;
  if (auto error = download(host_moments_, moment(0), moments * trained())) return *error;
  const std::int64_t scaled = history_elements();
  host_history_.resize(bytes(scaled));
  if (auto error = download(host_history_, scales(false).history, scaled)) return *error;
  if (auto error = download_frozen()) return *error;
  StateTensors state{parameter_tensors(parameters_, host_masters_.data()),
                     moment_tensors(parameters_, host_moments_.data(), moments, trained())};
  if (scaled > 0)
    state.moments.push_back({kFp8HistoryTensor,
                             safetensors::Type::f32,
                             {scaled / kFp8History, kFp8History},
                             std::as_writable_bytes(std::span(host_history_))});
  return state;
}

template <class T>
Bytes CudaEngine<T>::memory_beside_arena() const {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return Bytes(0);
  return Bytes(static_cast<std::int64_t>(total - free) - arena_.size());
}

// --- a step ---------------------------------------------------------------------------------------------------------

template <class T>
Failure CudaEngine<T>::load_inputs(const Binding& b, std::span<const std::int32_t> tokens,
                                   std::span<const std::int32_t> targets) {
  std::byte* const pinned = inputs_.data();
  std::memcpy(pinned, tokens.data(), tokens.size_bytes());
  std::memcpy(pinned + tokens.size_bytes(), targets.data(), targets.size_bytes());
  const auto upload = [&](std::int64_t offset, const std::byte* from) {
    return error_of(
        cudaMemcpyAsync(at<std::byte>(offset + b.shift), from, tokens.size_bytes(), cudaMemcpyHostToDevice, stream_),
        "tokens");
  };
  if (auto error = upload(b.plan.tokens, pinned)) return error;
  return upload(b.plan.targets, pinned + tokens.size_bytes());
}

template <class T>
template <class Body>
Failure CudaEngine<T>::replay(const std::string& key, Body&& body) {
  if (!options_.graphs || clocks_.timed()) return body();
  auto found = graphs_.find(key);
  if (found == graphs_.end()) {
    if (auto error = error_of(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), key)) return error;
    const Failure failed = body();
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream_, &graph);
    if (failed) return failed;
    if (auto error = error_of(ended, key)) return error;
    cudaGraphExec_t executable = nullptr;
    const cudaError_t made = cudaGraphInstantiate(&executable, graph, 0);
    (void)cudaGraphDestroy(graph);
    if (auto error = error_of(made, key)) return error;
    found = graphs_.emplace(key, executable).first;
  }
  return error_of(cudaGraphLaunch(found->second, stream_), key);
}

template <class T>
Failure CudaEngine<T>::forward_pass(const Binding& b) {
  for (std::int64_t layer = -1; layer <= b.layers; ++layer)
    if (auto error = run(b, layer, true)) return error;
  return std::nullopt;
}

template <class T>
Failure CudaEngine<T>::backward_pass() {
  for (std::int64_t layer = training_.layers - 1; layer >= -1; --layer)
    if (auto error = run(training_, layer, false)) return error;
  return std::nullopt;
}

/// The loss that the last forward pass left on the GPU; waits for everything enqueued.
template <class T>
Result<double> CudaEngine<T>::loss_of_stream() {
  auto* const host = reinterpret_cast<Scalars*>(results_.data());
  if (auto error = error_of(
          cudaMemcpyAsync(&host->loss, &scalars()->loss, sizeof(double), cudaMemcpyDeviceToHost, stream_), "loss"))
    return *error;
  if (auto error = wait("forward and backward pass")) return *error;
  return host->loss;
}

template <class T>
Result<double> CudaEngine<T>::forward_backward(std::int64_t step, std::int64_t micro_batch,
                                               std::span<const std::int32_t> tokens,
                                               std::span<const std::int32_t> targets) {
  const Model& model = scenario_.model;
  const bool drops = model.residual_dropout > 0 || model.attention_dropout > 0 || model.embedding_dropout > 0;
  micro_batch_ = static_cast<std::uint32_t>(micro_batch);
  loss_factor_ =
      (scale_.factor > 0 ? scale_.factor : 1.0) / static_cast<double>(training_.rows() * training_.sizes.micro_batches);
  if (step_ != static_cast<std::uint32_t>(step)) {
    step_ = static_cast<std::uint32_t>(step);
    auto* const host = reinterpret_cast<Scalars*>(results_.data());
    host->state.step = step_;
    if (auto error = error_of(cudaMemcpyAsync(&scalars()->state.step, &host->state.step, sizeof(std::uint32_t),
                                              cudaMemcpyHostToDevice, stream_),
                              "step"))
      return *error;
  }
  if (auto error = load_inputs(training_, tokens, targets)) return *error;
  // What a graph bakes in: the micro-batch in the keys of dropout masks, the factor on the loss.
  const std::string key = fmt::format("micro-batch {} factor {}", drops ? micro_batch : 0, loss_factor_);
  const auto body = [&]() -> Failure {
    if (auto error = forward_pass(training_)) return error;
    return backward_pass();
  };
  if (auto error = replay(key_of(key), body)) return *error;
  return loss_of_stream();
}

template <class T>
Failure CudaEngine<T>::update() {
  const Training& t = scenario_.training;
  const double factor = scale_.factor > 0 ? 1 / scale_.factor : 1;
  Scalars* const s = scalars();
  if (auto error = error_of(clocks_.enter(clocks_.optimizer(), stream_), "optimizer.norm")) return error;
  if (t.gradient_clip > 0 || scale_.factor > 0) {
    if (auto error = error_of(squared_norm(context_, trained(), gradients(), &s->squared, false), "optimizer.norm"))
      return error;
    if (auto error = error_of(clip_gradients(context_, &s->squared, factor, t.gradient_clip, &s->norm, &s->state),
                              "optimizer.norm"))
      return error;
  }
  if (auto error = error_of(clocks_.leave(stream_), "optimizer.norm")) return error;

  if (auto error = error_of(clocks_.enter(clocks_.optimizer() + 1, stream_), "optimizer.update")) return error;
  for (const ParameterView& p : parameters_) {
    if (!p.trained) continue;
    const double decay = p.columns > 0 ? t.weight_decay : 0;  // norms and biases are not decayed
    T* const narrow = std::is_same_v<T, float> ? nullptr : weights() + p.offset;
    cudaError_t status = cudaSuccess;
    if (t.optimizer == Optimizer::adamw)
      status = adamw<T, float>(context_, {0, t.beta1, t.beta2, t.epsilon, decay, 1, 1, &s->state}, p.elements,
                               masters() + p.offset, gradients() + p.offset, moment(0) + p.offset, moment(1) + p.offset,
                               narrow);
    else
      status = sgd<T, float>(context_, {0, t.optimizer == Optimizer::momentum ? t.momentum : 0, decay, 1, &s->state},
                             p.elements, masters() + p.offset, gradients() + p.offset,
                             t.optimizer == Optimizer::momentum ? moment(0) + p.offset : nullptr, narrow);
    if (auto error = error_of(status, "optimizer.update")) return error;
  }
  if (auto error =
          error_of(cudaMemsetAsync(gradients(), 0, bytes(trained()) * sizeof(float), stream_), "optimizer.update"))
    return error;
  for (const bool of_gradients : {false, true})
    if (auto error = error_of(update_fp8_scales(context_, scales(of_gradients), &s->state), "optimizer.update"))
      return error;
  return error_of(clocks_.leave(stream_), "optimizer.update");
}

template <class T>
Result<Update> CudaEngine<T>::optimizer_step(std::int64_t step, double learning_rate) {
  auto* const host = reinterpret_cast<Scalars*>(results_.data());
  host->state = {learning_rate, 1, static_cast<std::uint32_t>(step), 0};
  if (auto error = error_of(
          cudaMemcpyAsync(&scalars()->state, &host->state, sizeof(StepState), cudaMemcpyHostToDevice, stream_), "step"))
    return *error;
  if (auto error = replay(fmt::format("optimizer, scale {}", scale_.factor), [&] { return update(); })) return *error;
  if (auto error = error_of(cudaMemcpyAsync(host, scalars(), sizeof(Scalars), cudaMemcpyDeviceToHost, stream_), "step"))
    return *error;
  if (auto error = wait("optimizer step")) return *error;
  scaled_ = true;
  Update result{scenario_.training.gradient_clip > 0 ? host->norm : 0, false};
  if (scale_.factor > 0) {
    result.skipped = host->state.skip != 0;
    ++scale_.steps;
    if (result.skipped) scale_ = {scale_.factor / 2, 0};
    if (scale_.steps == kScaleInterval) scale_ = {scale_.factor * 2, 0};
  }
  return result;
}

template <class T>
Result<double> CudaEngine<T>::evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets) {
  if (auto error = load_inputs(evaluation_, tokens, targets)) return *error;
  if (auto error = replay(key_of("evaluation"), [&] { return forward_pass(evaluation_); })) return *error;
  const Result<double> loss = loss_of_stream();
  if (!loss) return loss;
  return *loss / static_cast<double>(evaluation_.rows());
}

template <class T>
Result<std::vector<float>> CudaEngine<T>::next_logits(std::span<const std::int32_t> tokens) {
  const std::int64_t length = scenario_.training.sequence, vocabulary = scenario_.model.vocabulary_size;
  if (!generation_) generation_ = std::make_unique<Binding>(bind_forward(scenario_, training_, 1, length));
  const Binding& b = *generation_;
  std::vector<std::int32_t> padded(bytes(length), 0);  // later positions do not reach earlier ones
  std::copy(tokens.begin(), tokens.end(), padded.begin());
  if (auto error = load_inputs(b, padded, padded)) return *error;
  if (auto error = replay(key_of("generation"), [&] { return forward_pass(b); })) return *error;
  const LoweredSegment& head = b.structure->epilogue;
  const auto loss = std::find_if(head.forward.kernels.begin(), head.forward.kernels.end(),
                                 [](const Kernel& k) { return k.contract == Contract::loss; });
  const T* const row = pointer(b, head, head.forward, loss->operands[0], b.layers, true) +
                       (static_cast<std::int64_t>(tokens.size()) - 1) * vocabulary;
  std::vector<float> logits(bytes(vocabulary));
  const float* values = nullptr;
  if constexpr (std::is_same_v<T, float>) {
    values = row;
  } else {
    if (auto error = error_of(cast(context_, vocabulary, row, reinterpret_cast<float*>(temporary())), "logits"))
      return *error;
    values = reinterpret_cast<const float*>(temporary());
  }
  if (auto error = error_of(
          cudaMemcpyAsync(logits.data(), values, logits.size() * sizeof(float), cudaMemcpyDeviceToHost, stream_),
          "logits"))
    return *error;
  if (auto error = wait("logits")) return *error;
  return logits;
}

template <class T>
Failure CudaEngine<T>::run(const Binding& b, std::int64_t layer, bool forward) {
  const LoweredSegment& segment = segment_of(b, layer);
  const Program& program = forward ? segment.forward : segment.backward;
  const int index = b.segment_index[static_cast<std::size_t>(layer + 1)];
  const bool clocked = &b == &training_ && !collecting_;
  const std::size_t from = clocks_.program(index, forward);
  std::size_t k = 0;
  for (std::size_t g = 0; g < program.groups.size(); ++g) {
    const auto place = [&] { return fmt::format("{} (layer {})", text(program.groups[g].name), layer); };
    if (clocked)
      if (auto error = error_of(clocks_.enter(from + g, stream_), place())) return error;
    for (; k < program.kernels.size() && program.kernels[k].group == g; ++k)
      if (auto error = run_kernel(b, segment, program, program.kernels[k], layer, forward)) {
        error->place = place();
        return error;
      }
    if (clocked)
      if (auto error = error_of(clocks_.leave(stream_), place())) return error;
  }
  return std::nullopt;
}

template class CudaEngine<float>;
template class CudaEngine<bf16>;
template class CudaEngine<fp16>;

}  // namespace dtcalc::cuda
