// QK-norm and RoPE against their definitions with complex numbers; gradients against finite differences.
#include "engine/cpu/head_norm_rope.hpp"

#include <complex>
#include <numbers>

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

struct Case {
  HeadNormRope shape;
  std::int64_t first;  ///< position of the first row
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const QkNorm norm : {QkNorm::none, QkNorm::per_head, QkNorm::full}) {
    for (const RopePairing pairing : {RopePairing::neighbours, RopePairing::halves}) {
      all.push_back({{2, 17, 3, 8, norm, 1e-6, false, 8, pairing}, 0});
      all.push_back({{1, 3, 2, 80, norm, 1e-5, true, 32, pairing}, 40});
    }
    if (norm != QkNorm::none) all.push_back({{3, 65, 2, 5, norm, 1e-6, false, 0, RopePairing::halves}, 0});
  }
  return all;
}

std::int64_t elements(const HeadNormRope& s) { return s.batch * s.sequence * s.heads * s.head_size; }
std::int64_t weights(const HeadNormRope& s) { return s.norm == QkNorm::full ? s.heads * s.head_size : s.head_size; }
std::int64_t statistics(const HeadNormRope& s) { return s.batch * s.sequence * (s.norm == QkNorm::full ? 1 : s.heads); }

/// Every pair of channels is a complex number, turned by position times 10000^(-2i / rotary_size).
std::vector<double> twin(const Case& c, const std::vector<double>& x, const std::vector<double>& weight) {
  const HeadNormRope& s = c.shape;
  std::vector<double> y = x;
  const auto width = static_cast<std::size_t>(s.heads * s.head_size), size = static_cast<std::size_t>(s.head_size);
  for (std::size_t row = 0; row < y.size() / width; ++row) {
    const std::size_t span = s.norm == QkNorm::full ? width : size;
    for (std::size_t at = row * width; s.norm != QkNorm::none && at < (row + 1) * width; at += span) {
      double square = 0;
      for (std::size_t i = 0; i < span; ++i) square += x[at + i] * x[at + i] / static_cast<double>(span);
      for (std::size_t i = 0; i < span; ++i) {
        y[at + i] = x[at + i] / std::sqrt(square + s.epsilon) * (weight[i] + (s.weight_offset ? 1 : 0));
      }
    }
    const auto position = static_cast<double>(c.first + static_cast<std::int64_t>(row) % s.sequence);
    const auto pairs = static_cast<std::size_t>(s.rotary_size / 2);
    for (std::size_t head = 0; head < static_cast<std::size_t>(s.heads); ++head) {
      for (std::size_t i = 0; i < pairs; ++i) {
        const double angle =
            position * std::pow(10000.0, -2 * static_cast<double>(i) / static_cast<double>(s.rotary_size));
        const std::size_t base = row * width + head * size;
        const std::size_t a = base + (s.pairing == RopePairing::halves ? i : 2 * i);
        const std::size_t b = base + (s.pairing == RopePairing::halves ? i + pairs : 2 * i + 1);
        const std::complex<double> turned = std::complex<double>(y[a], y[b]) * std::polar(1.0, angle);
        y[a] = turned.real();
        y[b] = turned.imag();
      }
    }
  }
  return y;
}

template <class T>
struct Table {
  std::vector<T> cosine, sine;
};
template <class T>
Table<T> table(const Case& c) {
  const auto size = static_cast<std::size_t>(c.shape.sequence * c.shape.rotary_size / 2);
  Table<T> t{std::vector<T>(size), std::vector<T>(size)};
  Rope rope;
  rope.rotary_size = c.shape.rotary_size;
  if (size > 0) {
    REQUIRE(!fill_rope_table(rope, c.shape.head_size, c.first, c.shape.sequence, t.cosine.data(), t.sine.data()));
  }
  return t;
}

}  // namespace

TEST_CASE("QK-norm and RoPE equal their definition", "[engine][rope]") {
  Team team(3);
  Context context = team.context();
  for (const Case& c : cases()) {
    CAPTURE(static_cast<int>(c.shape.norm), static_cast<int>(c.shape.pairing), c.shape.head_size);
    const auto x = random_values(elements(c.shape), 1), weight = random_values(weights(c.shape), 2);
    const auto expected = twin(c, x, weight);
    const auto check = [&](auto zero, double bound) {
      using T = decltype(zero);
      const auto t = table<T>(c);
      const auto in = converted<T>(x), w = converted<T>(weight);
      auto out = in, in_place = in;
      head_norm_rope_forward<T>(context, c.shape, in.data(), w.data(), t.cosine.data(), t.sine.data(), out.data(),
                                nullptr);
      CHECK(distance(out, expected) < bound);
      head_norm_rope_forward<T>(context, c.shape, in_place.data(), w.data(), t.cosine.data(), t.sine.data(),
                                in_place.data(), nullptr);
      CHECK(in_place == out);
    };
    // The sum of squares, and a few operations; cos and sin carry the rounding of angles up to 57 (in double) each.
    check(0.0, rounding<double>(weights(c.shape) + 70));
    check(0.0F, rounding<float>(weights(c.shape) + 10));
  }
}

TEST_CASE("gradients of QK-norm and RoPE equal finite differences", "[engine][rope]") {
  for (const Case& c : cases()) {
    const HeadNormRope& s = c.shape;
    CAPTURE(static_cast<int>(s.norm), static_cast<int>(s.pairing), s.head_size);
    Team team(3, head_norm_rope_backward_workspace_bytes<double>(s));
    Context context = team.context();
    const auto x = random_values(elements(s), 1), weight = random_values(weights(s), 2),
               dy = random_values(elements(s), 3);
    const auto t = table<double>(c);
    std::vector<double> out = x, rstd(static_cast<std::size_t>(statistics(s))), dx = dy, dweight(weight.size());
    head_norm_rope_forward(context, s, x.data(), weight.data(), t.cosine.data(), t.sine.data(), out.data(),
                           rstd.data());
    head_norm_rope_backward(context, s, dx.data(), x.data(), weight.data(), t.cosine.data(), t.sine.data(), rstd.data(),
                            dweight.data());
    require_gradient([&](const std::vector<double>& moved) { return dot(dy, twin(c, moved, weight)); }, x, dx);
    if (s.norm == QkNorm::none) continue;
    require_gradient([&](const std::vector<double>& moved) { return dot(dy, twin(c, x, moved)); }, weight, dweight);
    auto again = dy, frozen = dy, doubled = dweight;
    head_norm_rope_backward(context, s, again.data(), x.data(), weight.data(), t.cosine.data(), t.sine.data(),
                            rstd.data(), doubled.data());
    for (double& value : dweight) value *= 2;
    CHECK(distance(doubled, dweight) <= rounding<double>(s.batch * s.sequence * s.heads));
    head_norm_rope_backward<double>(context, s, frozen.data(), x.data(), weight.data(), t.cosine.data(), t.sine.data(),
                                    rstd.data(), nullptr);
    CHECK(again == dx);
    CHECK(frozen == dx);
  }
}

TEST_CASE("a rotated query and key depend on their distance alone", "[engine][rope]") {
  // E20: the same rotation on both.
  Team team(1);
  Context context = team.context();
  const HeadNormRope shape{1, 1, 1, 16, QkNorm::none, 0, false, 16, RopePairing::halves};
  const auto q = random_values(16, 1), k = random_values(16, 2);
  const auto score = [&](std::int64_t at_q, std::int64_t at_k) {
    auto rotated_q = q, rotated_k = k;
    const auto tq = table<double>({shape, at_q}), tk = table<double>({shape, at_k});
    head_norm_rope_forward<double>(context, shape, q.data(), nullptr, tq.cosine.data(), tq.sine.data(),
                                   rotated_q.data(), nullptr);
    head_norm_rope_forward<double>(context, shape, k.data(), nullptr, tk.cosine.data(), tk.sine.data(),
                                   rotated_k.data(), nullptr);
    return dot(rotated_q, rotated_k);
  };
  CHECK(score(7, 3) == Approx(score(104, 100)).epsilon(1e-12));
  CHECK(score(7, 3) != Approx(score(3, 7)).epsilon(1e-3));
}

TEST_CASE("RoPE tables: base, scalings, refusals", "[engine][rope]") {
  const std::int64_t head_size = 128;
  std::vector<double> cosine(64), sine(64);
  const auto frequency = [&](const Rope& rope) {  // of each pair, from the angle at position 1 (all below pi / 2)
    REQUIRE(!fill_rope_table(rope, head_size, 1, 1, cosine.data(), sine.data()));
    std::vector<double> result;
    for (std::size_t i = 0; i < 64; ++i) result.push_back(std::atan2(sine[i], cosine[i]));
    return result;
  };
  Rope rope;
  rope.base = 500000;
  const auto plain = frequency(rope);
  CHECK(plain[0] == Approx(1).epsilon(1e-14));
  CHECK(plain[63] == Approx(std::pow(500000, -126.0 / 128)).epsilon(1e-12));
  rope.factor = 8;
  rope.scaling = RopeScaling::linear;
  CHECK(frequency(rope)[10] == Approx(plain[10] / 8).epsilon(1e-12));
  // Llama 3.1: 8192 original positions, factors 8, 1 and 4.
  rope.scaling = RopeScaling::llama3;
  rope.low_frequency_factor = 1;
  rope.high_frequency_factor = 4;
  rope.original_positions = 8192;
  const auto llama = frequency(rope);
  for (std::size_t i = 0; i < 64; ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    CAPTURE(i, wavelength);
    if (wavelength < 8192.0 / 4) {
      CHECK(llama[i] == Approx(plain[i]).epsilon(1e-12));
    } else if (wavelength > 8192) {
      CHECK(llama[i] == Approx(plain[i] / 8).epsilon(1e-12));
    } else {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      CHECK(llama[i] == Approx((1 - smooth) * plain[i] / 8 + smooth * plain[i]).epsilon(1e-12));
    }
  }
  for (const RopeScaling scaling : {RopeScaling::dynamic, RopeScaling::yarn, RopeScaling::longrope}) {
    rope.scaling = scaling;
    const auto refused = fill_rope_table(rope, head_size, 0, 1, cosine.data(), sine.data());
    REQUIRE(refused);
    CHECK_THAT(refused->reason, Catch::Matchers::ContainsSubstring("not supported by the engine"));
  }
}

}  // namespace dtcalc::cpu::test
