// Philox against the published vectors; the statistics and the addressing of dropout masks.
#include "engine/cpu/philox.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {

TEST_CASE("Philox4x32-10 gives the known answers of Random123", "[engine][philox]") {
  // Salmon et al., Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a mask is word i % 4 of block i / 4 of its stream, wherever it is cut", "[engine][philox]") {
  const DropoutStream stream(DropoutKey{11, 2, 3, 4, 5});
  const double p = 0.4;
  const std::int64_t far = (std::int64_t{1} << 40) - 70;  // the block index crosses no 32-bit border unnoticed
  for (const std::int64_t first :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{126}, far, std::int64_t{17179869100}}) {
    std::vector<double> mask(301);
    fill_dropout_mask(stream, p, first, 301, mask.data());
    for (std::int64_t i = 0; i < 301; ++i) {
      const auto block = static_cast<std::uint64_t>((first + i) / 4);
      const PhiloxBlock words =
          philox4x32_10({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                         stream.counter_high[0], stream.counter_high[1]},
                        stream.key);
      const bool dropped = words[static_cast<std::size_t>((first + i) % 4)] < dropout_threshold(p);
      CHECK(mask[static_cast<std::size_t>(i)] == (dropped ? 0 : 1 / (1 - p)));
    }
  }
}

TEST_CASE("masks keep 1 - p of the elements and differ between keys", "[engine][philox]") {
  const std::int64_t count = 1 << 20;
  const DropoutKey base{1, 1, 1, 1, 1};
  std::vector<DropoutKey> keys(6, base);
  keys[1].seed = std::uint64_t{1} << 32 | 1;
  keys[2].step = 2;
  keys[3].micro_batch = 2;
  keys[4].layer = 2;
  keys[5].op = 2;
  for (const double p : {0.1, 0.5, 0.9}) {
    const double deviation = std::sqrt(p * (1 - p) * static_cast<double>(count));
    std::vector<std::vector<float>> masks;
    for (const DropoutKey& key : keys) {
      std::vector<float> mask(static_cast<std::size_t>(count));
      fill_dropout_mask(DropoutStream(key), p, 0, count, mask.data());
      const auto dropped = std::count(mask.begin(), mask.end(), 0.0F);
      CHECK(std::abs(static_cast<double>(dropped) - p * static_cast<double>(count)) < 5 * deviation);
      masks.push_back(mask);
    }
    for (std::size_t a = 0; a < masks.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        std::int64_t equal = 0;
        for (std::size_t i = 0; i < masks[a].size(); ++i) equal += masks[a][i] == masks[b][i];
        const double expected = p * p + (1 - p) * (1 - p);  // independent masks
        const double spread = std::sqrt(expected * (1 - expected) * static_cast<double>(count));
        CHECK(std::abs(static_cast<double>(equal) - expected * static_cast<double>(count)) < 5 * spread);
      }
    }
  }
}

TEST_CASE("the threshold stays in 32 bits next to p = 1", "[engine][philox]") {
  CHECK(dropout_threshold(0) == 0);
  CHECK(dropout_threshold(0.5) == 0x80000000);
  CHECK(dropout_threshold(1 - 1e-12) == 0xFFFFFFFF);
}

}  // namespace dtcalc::cpu::test
