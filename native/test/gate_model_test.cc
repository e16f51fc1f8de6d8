// Every interleaving of threads that enter and leave the gate with threads that close and open it. A step is one of the
// gate's sequentially consistent operations (gate.cc). The same search finds the errors of deliberately wrong gates.
#include <array>
#include <cstdint>
#include <vector>

#include "harness.h"
#include "state_space.h"

namespace {

constexpr int kEnterers = 2;
constexpr int kClosers = 2;

// Enter() and Leave().
enum EntererAt : uint8_t { kClaim, kMark, kLook, kInside, kUnmark, kWait };
// Close() and Open().
enum CloserAt : uint8_t { kTake, kShut, kReadUsed, kScan, kClosed, kFirstOpen, kSecondOpen };

struct State {
  std::array<uint8_t, kEnterers> enterer{};
  std::array<uint8_t, kEnterers> inside{};
  std::array<uint8_t, kEnterers> buffered{};  // a store that other threads do not see yet
  std::array<uint8_t, kClosers> closer{};
  std::array<uint8_t, kClosers> limit{};  // used_slots_ as this closer has read it
  std::array<uint8_t, kClosers> next{};   // the slot that it reads next
  std::array<uint8_t, kClosers> found{};  // threads inside so far
  uint8_t used = 0;
  uint8_t closed = 0;
  uint8_t owner = 0;  // closer_

  [[nodiscard]] auto Key() const {
    std::vector<uint8_t> key;
    for (const auto& part : {enterer, inside, buffered, closer, limit, next, found}) {
      key.insert(key.end(), part.begin(), part.end());
    }
    key.insert(key.end(), {used, closed, owner});
    return key;
  }
  bool operator<(const State& other) const { return Key() < other.Key(); }
};

// What is wrong with the gate.
enum class Defect : uint8_t {
  kNone,
  kLookFirst,        // Enter() reads closed_ before it writes its slot
  kStoreBuffer,      // Enter()'s store is not sequentially consistent
  kScanFirst,        // Close() reads the slots before it writes closed_
  kOwnerFirst,       // Open() gives closer_ back before it clears closed_
  kUsedAfterInside,  // a new slot becomes visible to closers only after its first use
  kNoOwner,          // closers do not exclude each other
};

class Model : public forkheap::test::StateSpace<State> {
 public:
  explicit Model(Defect defect) : defect_(defect) {}

  // Visits every state that can be reached.
  void Run() {
    Search({}, [this](const State& state, int index) {
      for (int i = 0; i < kEnterers; ++i) StepEnterer(state, index, i);
      for (int i = 0; i < kClosers; ++i) StepCloser(state, index, i);
    });
  }

  // Closed, and somebody inside.
  [[nodiscard]] int Violations() const {
    int count = 0;
    for (const State& state : states()) {
      bool closed = false;
      bool inside = false;
      for (const uint8_t at : state.closer) closed |= at == kClosed;
      for (const uint8_t at : state.enterer) inside |= at == kInside;
      count += closed && inside;
    }
    return count;
  }

  // States in which two have closed it at once.
  [[nodiscard]] int TwoClosers() const {
    int count = 0;
    for (const State& state : states()) {
      int closed = 0;
      for (const uint8_t at : state.closer) closed += at == kClosed;
      count += closed > 1;
    }
    return count;
  }

 private:
  static void MarkUsed(State* state, int i) {
    if (state->used < i + 1) state->used = static_cast<uint8_t>(i + 1);
  }

  void StepEnterer(const State& state, int index, int i) {
    if (state.buffered[i] != 0) {  // the processor may write the store out at any time
      State next = state;
      next.buffered[i] = 0;
      next.inside[i] = 1;
      Visit(next, index);
    }
    State next = state;
    uint8_t& at = next.enterer[i];
    const bool look_first = defect_ == Defect::kLookFirst;
    switch (at) {
      case kClaim:
        if (defect_ != Defect::kUsedAfterInside) MarkUsed(&next, i);
        at = look_first ? kLook : kMark;
        break;
      case kMark:
        (defect_ == Defect::kStoreBuffer ? next.buffered : next.inside)[i] = 1;
        at = look_first ? kInside : kLook;
        break;
      case kLook:
        if (look_first) {
          at = state.closed == 0 ? kMark : kWait;
        } else {
          at = state.closed == 0 ? kInside : kUnmark;
        }
        break;
      case kInside:
        MarkUsed(&next, i);
        next.inside[i] = next.buffered[i] = 0;
        at = look_first ? kLook : kMark;
        break;
      case kUnmark:
        next.inside[i] = next.buffered[i] = 0;
        at = kWait;
        break;
      default:
        if (state.closed != 0) return;
        at = look_first ? kLook : kMark;
        break;
    }
    Visit(next, index);
  }

  void StepCloser(const State& state, int index, int i) {
    State next = state;
    uint8_t& at = next.closer[i];
    const bool scan_first = defect_ == Defect::kScanFirst;
    switch (at) {
      case kTake:
        if (state.owner != 0 && defect_ != Defect::kNoOwner) return;
        next.owner = static_cast<uint8_t>(i + 1);
        at = scan_first ? kReadUsed : kShut;
        break;
      case kShut:
        next.closed = 1;
        at = scan_first ? kClosed : kReadUsed;
        break;
      case kReadUsed:
        next.limit[i] = state.used;
        next.next[i] = next.found[i] = 0;
        at = kScan;
        break;
      case kScan:
        if (state.next[i] < state.limit[i]) {
          next.found[i] = static_cast<uint8_t>(next.found[i] + state.inside[state.next[i]]);
          ++next.next[i];
        } else if (state.found[i] != 0) {
          at = kReadUsed;
        } else {
          at = scan_first ? kShut : kClosed;
        }
        break;
      case kClosed:
        at = kFirstOpen;
        break;
      default:
        if ((at == kFirstOpen) != (defect_ == Defect::kOwnerFirst)) {
          next.closed = 0;
        } else {
          next.owner = 0;
        }
        at = at == kFirstOpen ? kSecondOpen : kTake;
        if (at == kTake) next.limit[i] = next.next[i] = next.found[i] = 0;
        break;
    }
    Visit(next, index);
  }

  Defect defect_;
};

int ViolationsWith(Defect defect) {
  Model model(defect);
  model.Run();
  return model.Violations() + model.TwoClosers();
}

}  // namespace

TEST("never closed with somebody inside; nobody waits for ever") {
  Model model(Defect::kNone);
  model.Run();
  EXPECT(model.Violations() == 0);
  EXPECT(model.TwoClosers() == 0);
  for (int i = 0; i < kEnterers; ++i) EXPECT(model.Stuck([&](const State& s) { return s.enterer[i] == kInside; }) == 0);
  for (int i = 0; i < kClosers; ++i) EXPECT(model.Stuck([&](const State& s) { return s.closer[i] == kClosed; }) == 0);
  EXPECT(model.size() > 1000);
  printf("# %d threads that enter, %d that close: %zu states, %zu steps\n", kEnterers, kClosers, model.size(),
         model.steps());
}

TEST("the search finds the errors of wrong gates") {
  EXPECT(ViolationsWith(Defect::kLookFirst) > 0);
  EXPECT(ViolationsWith(Defect::kStoreBuffer) > 0);
  EXPECT(ViolationsWith(Defect::kScanFirst) > 0);
  EXPECT(ViolationsWith(Defect::kOwnerFirst) > 0);
  EXPECT(ViolationsWith(Defect::kUsedAfterInside) > 0);
  EXPECT(ViolationsWith(Defect::kNoOwner) > 0);
}

int main() { return forkheap::test::RunTests("gate model"); }
