#include "kernels/attention_flash.hpp"

#include <fmt/format.h>

#include "costmodel/evaluate/workspace.hpp"
#include "costmodel/scenario/load.hpp"
#include "kernels/attention_hopper.hpp"
#include "kernels/attention_support.hpp"

namespace dtcalc::cuda::test {
namespace {

/// -inf where a query sees nothing cannot be subtracted: both sides must have it, and it is taken out.
void check_statistics(Values got, Values exact) {
  REQUIRE(got.size() == exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!std::isinf(exact[i])) continue;
    CHECK(got[i] == exact[i]);
    got[i] = exact[i] = 0;
  }
  // Scores are float sums of H products: their rounding is that of float times a few.
  CHECK(cpu::test::error(got, exact) <= 64 * half_ulp<float>() * std::max(1.0, largest(exact)));
}

TEST_CASE("flash attention on the GPU: forward and backward, within twice the precision's own error") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const AttentionCase& c : attention_cases()) {
      CAPTURE(c.name);
      const AttentionShape& s = c.shape;
      const AttentionOperands x = attention_operands<T>(s);
      const AttentionResults exact = attention_on_cpu<double>(c, x), reference = attention_on_cpu<T>(c, x);
      const Values slopes = slopes_of(c);
      Buffer<float> alibi(slopes), log_sum_exp(s.batch * s.heads * s.queries);
      AttentionOptions options = c.options;
      options.alibi_slopes = c.alibi ? alibi.data() : nullptr;
      Launch launch(flash_backward_workspace_bytes(s, true));
      const std::int64_t queries = s.batch * s.queries * s.heads * s.head_size;
      const std::int64_t keys = s.batch * s.keys * s.kv_heads * s.head_size;
      Buffer<T> q(x.q), k(x.k), v(x.v), dout(x.dout), out(queries), dq(queries), dk(keys), dv(keys);
      require(
          flash_forward<T>(launch.context(), s, options, q.data(), k.data(), v.data(), out.data(), log_sum_exp.data()));
      // With float the reference rounds nothing but stored results: sums over keys and channels come on top.
      const auto judge = [&](const char* what, const Values& got, const Values& right, const Values& in_t) {
        if constexpr (std::is_same_v<T, float>) {
          CAPTURE(what);
          CHECK(cpu::test::error(got, right) <=
                half_ulp<float>() * static_cast<double>(2 * s.head_size + s.keys + 16) * (1 + largest(right)));
        } else {
          // Where the exact gradient is next to nothing, dP - dO · O keeps the rounding of two sums of H products.
          check<T>(what, got, right, in_t, 1,
                   half_ulp<float>() * 2 * static_cast<double>(s.head_size) * largest(x.dout));
        }
      };
      judge("out", out.read(), exact.out, reference.out);
      check_statistics(log_sum_exp.read(), exact.log_sum_exp);
      require(flash_backward<T>(launch.context(), s, options, q.data(), k.data(), v.data(), out.data(),
                                log_sum_exp.data(), dout.data(), dq.data(), dk.data(), dv.data()));
      launch.check();
      judge("dq", dq.read(), exact.dq, reference.dq);
      judge("dk", dk.read(), exact.dk, reference.dk);
      judge("dv", dv.read(), exact.dv, reference.dv);

      // Again: the same bits.
      Buffer<T> dq2(queries), dk2(keys), dv2(keys), out2(queries);
      require(flash_forward<T>(launch.context(), s, options, q.data(), k.data(), v.data(), out2.data(), nullptr));
      require(flash_backward<T>(launch.context(), s, options, q.data(), k.data(), v.data(), out.data(),
                                log_sum_exp.data(), dout.data(), dq2.data(), dk2.data(), dv2.data()));
      CHECK(out2.read() == out.read());
      CHECK(dq2.read() == dq.read());
      CHECK(dk2.read() == dk.read());
      CHECK(dv2.read() == dv.read());
    }
  });
}

TEST_CASE("flash attention on the GPU: which queries see which keys, exactly") {
  DTCALC_NEED_GPU();
  // q = 0: every visible key weighs the same. v is the key's number in one channel and 1 in another, so the output is
  // the mean of the visible keys' numbers: integers or halves below 2^8, exact in bf16 up to the division.
  for (const std::int64_t size : {64, 80, 96, 128, 256}) {
    for (const std::int64_t window : {0, 5, 64}) {
      const AttentionShape s{1, 100, 130, 1, 1, size};
      Values keys(std::size_t(s.keys * size), 0.0);
      for (std::int64_t j = 0; j < s.keys; ++j)
        keys[std::size_t(j * size)] = double(j), keys[std::size_t(j * size + 1)] = 1;
      Buffer<fp16> q(Values(std::size_t(s.queries * size), 0.0)), k(keys), v(keys), out(s.queries * size);
      Launch launch;
      AttentionOptions options;
      options.window = window;
      require(flash_forward<fp16>(launch.context(), s, options, q.data(), k.data(), v.data(), out.data(), nullptr));
      const Values got = out.read();
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const cpu::KeyRange seen = cpu::visible_keys(i, s.queries, s.keys, true, window);
        CAPTURE(size, window, i);
        CHECK(got[std::size_t(i * size + 1)] == 1);
        const double mean = double(seen.begin + seen.end - 1) / 2;
        CHECK(std::abs(got[std::size_t(i * size)] - mean) <= half_ulp<fp16>() * mean);
      }
    }
  }
}

TEST_CASE("Hopper's backward pass: query heads are dealt to several blocks where keys are few") {
  const auto parts = [](const AttentionShape& shape) { return hopper_backward_memory(shape).parts; };
  CHECK(parts({1, 2048, 2048, 8, 1, 128}) == 8);   // 16 tiles of keys, 128 blocks
  CHECK(parts({1, 8192, 8192, 8, 1, 128}) == 2);   // 64 tiles
  CHECK(parts({1, 8192, 8192, 32, 8, 128}) == 1);  // 512 pieces as it is
  CHECK(parts({1, 256, 256, 6, 1, 64}) == 6);
  CHECK(parts({1, 5461, 5461, 6, 1, 64}) == 3);  // 43 tiles: two parts are 86, three 129
  CHECK(parts({1, 256, 256, 4, 4, 64}) == 1);    // nothing to deal
  const HopperBackwardMemory m = hopper_backward_memory({2, 100, 300, 4, 2, 64});
  CHECK(m.tiles == 1);   // of 128 queries
  CHECK(m.levels == 3);  // of 128 keys
  CHECK(m.sums == 2 * 4 * 128 * 64);
  CHECK(m.of_parts == 2 * 2 * 2 * 3 * 128 * 64);
  CHECK(m.counts == 2 * 4);
}

TEST_CASE("Hopper's backward pass: the cost model plans its scratch to the byte") {
  for (const auto& [model, micro_batch, sequence] :
       {std::tuple{"gpt2-124m", 64, 1024}, {"gpt2-1.5b", 16, 1000}, {"llama3-8b", 1, 1030}, {"llama3-8b", 2, 8192}}) {
    CAPTURE(model, sequence);
    const std::vector<std::string> changes{fmt::format("training.micro_batch={}", micro_batch),
                                           fmt::format("training.sequence={}", sequence)};
    const Scenario s = load_scenario_named(model, "h200", DTCALC_SOURCE_DIR, changes).value();
    const AttentionShape shape{micro_batch, sequence, sequence, s.model.heads, s.model.kv_heads, s.model.head_size};
    const std::int64_t planned = cuda_workspace(s, true).temporary.value();
    const std::int64_t needed = (flash_backward_workspace_bytes(shape, true) + 255) / 256 * 256;
    CHECK(planned >= needed);
    if (needed > 64 << 20) CHECK(planned == needed);  // more than any other kernel's
  }
}

TEST_CASE("flash attention on the GPU: what it does not take") {
  CHECK(flash_refusal({1, 1, 1, 4, 2, 256}) == nullptr);
  CHECK(flash_refusal({1, 1, 1, 4, 2, 512}) != nullptr);
  CHECK(flash_refusal({1, 1, 1, 4, 3, 64}) != nullptr);
  const auto kernel_of = [](auto tag, const AttentionShape& shape, const AttentionOptions& options, bool hopper) {
    return flash_plan<decltype(tag)>(shape, options, hopper).kernel;
  };
  const AttentionShape with_64{1, 8, 8, 2, 1, 64}, with_96{1, 8, 8, 1, 1, 96}, with_72{1, 8, 8, 1, 1, 72};
  AttentionOptions extra;
  CHECK(kernel_of(bf16{}, with_64, {}, true) == FlashKernel::hopper);
  CHECK(kernel_of(bf16{}, with_64, {}, false) == FlashKernel::tensor_cores);
  CHECK(kernel_of(bf16{}, with_96, {}, true) == FlashKernel::tensor_cores);
  CHECK(kernel_of(bf16{}, with_72, {}, true) == FlashKernel::plain);
  CHECK(kernel_of(float{}, with_64, {}, true) == FlashKernel::plain);
  extra.dropout = 0.1;
  CHECK(kernel_of(bf16{}, with_64, extra, true) == FlashKernel::tensor_cores);
  CHECK(hopper_refusal(with_64, extra, true) == std::string("dropout"));
  extra = {}, extra.window = 8;
  CHECK(kernel_of(bf16{}, with_64, extra, true) == FlashKernel::hopper);  // all keys: no window
  extra.window = 7;
  CHECK(hopper_refusal(with_64, extra, true) == std::string("a window"));
  const FlashPlan plan = flash_plan<bf16>(with_64, {}, true);
  CHECK(plan.backward_keys.products + plan.backward_queries.products == 5);
  CHECK(flash_backward<float>({}, {1, 8, 8, 1, 1, 64}, {}, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                              nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace dtcalc::cuda::test
