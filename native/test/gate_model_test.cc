// Every interleaving of the gate's steps: threads that enter and leave against threads that fork. The steps are those of
// gate.cc, one per atomic access; all accesses are sequentially consistent there, so an interleaving of steps is all
// that can happen. (Leave() stores with release order only: to the closer the thread then looks as if it left later,
// which the model has too.)
#include <doctest.h>

#include <array>
#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

namespace {

constexpr int kEnterers = 2;
constexpr int kClosers = 2;
constexpr int kTurns = 2;  // times that each thread does its work

// What a thread does next.
enum Step : uint8_t {
  // Enter() and Leave()
  kSetInside,
  kReadClosed,
  kTakeBack,
  kWait,  // in WaitUntilOpen(): goes on only when the gate is open
  kInside,
  kLeave,
  // Close() and Open()
  kClaim,  // compare-and-swap of closer_
  kWaitForCloser,
  kShut,
  kLookFirst,  // at the first enterer's slot, then at the second's; from the start when one is inside
  kLookSecond,
  kForking,
  kOpen,
  kGiveUp,
  kDone,
};

// Mistakes that the check must find, or it checks nothing.
enum class Mistake { kNone, kReadBeforeWrite, kGiveUpFirst, kNoClaim, kLookBeforeShut };

struct State {
  std::array<Step, kEnterers + kClosers> step{};
  std::array<uint8_t, kEnterers + kClosers> turns{};
  std::array<uint8_t, kEnterers> inside{};
  uint8_t closed = 0;
  uint8_t closer = 0;  // number of the closing thread plus 1

  bool operator<(const State& other) const {
    return std::tie(step, turns, inside, closed, closer) <
           std::tie(other.step, other.turns, other.inside, other.closed, other.closer);
  }
};

struct Result {
  size_t states = 0;
  bool violated = false;  // closed for a fork, and somebody inside
  bool stuck = false;     // nobody can go on, and not all are done
};

class Model {
 public:
  explicit Model(Mistake mistake) : mistake_(mistake) {}

  Result Explore() {
    State start;
    for (int i = 0; i < kEnterers; ++i) start.step[i] = FirstOfEnter();
    for (int i = kEnterers; i < kEnterers + kClosers; ++i) start.step[i] = FirstOfClose();
    std::set<State> seen{start};
    std::vector<State> open{start};
    Result result;
    while (!open.empty()) {
      const State state = open.back();
      open.pop_back();
      result.violated |= Violates(state);
      bool moved = false;
      bool done = true;
      for (int thread = 0; thread < kEnterers + kClosers; ++thread) {
        done = done && state.step[thread] == kDone;
        State next = state;
        if (!Move(thread, &next)) continue;
        moved = true;
        if (seen.insert(next).second) open.push_back(next);
      }
      if (!moved && !done) result.stuck = true;
    }
    result.states = seen.size();
    return result;
  }

 private:
  [[nodiscard]] Step FirstOfEnter() const {
    return mistake_ == Mistake::kReadBeforeWrite ? kReadClosed : kSetInside;
  }
  [[nodiscard]] Step FirstOfClose() const {
    return mistake_ == Mistake::kNoClaim ? kShut : kClaim;
  }

  static bool Violates(const State& state) {
    bool forking = false;
    bool inside = false;
    for (int i = 0; i < kEnterers; ++i) inside = inside || state.step[i] == kInside;
    for (int i = kEnterers; i < kEnterers + kClosers; ++i) forking = forking || state.step[i] == kForking;
    return forking && inside;
  }

  // One step of one thread. False when it can do none.
  bool Move(int thread, State* state) const {
    Step& step = state->step[thread];
    const auto again = [&](Step first) { step = ++state->turns[thread] < kTurns ? first : kDone; };
    switch (step) {
      case kSetInside:
        state->inside[thread] = 1;
        step = mistake_ == Mistake::kReadBeforeWrite ? kInside : kReadClosed;
        return true;
      case kReadClosed:
        if (mistake_ == Mistake::kReadBeforeWrite) {
          step = state->closed == 0 ? kSetInside : kWait;
        } else {
          step = state->closed == 0 ? kInside : kTakeBack;
        }
        return true;
      case kTakeBack:
        state->inside[thread] = 0;
        step = kWait;
        return true;
      case kWait:
        if (state->closed != 0) return false;
        step = FirstOfEnter();
        return true;
      case kInside:
        step = kLeave;
        return true;
      case kLeave:
        state->inside[thread] = 0;
        again(FirstOfEnter());
        return true;
      case kClaim:
        if (state->closer == 0) {
          state->closer = static_cast<uint8_t>(thread + 1);
          step = mistake_ == Mistake::kLookBeforeShut ? kLookFirst : kShut;
        } else {
          step = kWaitForCloser;
        }
        return true;
      case kWaitForCloser:
        // WaitUntilOpen() and sched_yield(): the closer may not have shut the gate yet, then it is tried again at once.
        if (state->closed != 0) return false;
        if (state->closer != 0) return false;  // a turn of the loop that changes nothing
        step = kClaim;
        return true;
      case kShut:
        state->closed = 1;
        step = mistake_ == Mistake::kLookBeforeShut ? kForking : kLookFirst;
        return true;
      case kLookFirst:
        if (state->inside[0] != 0) return false;  // looks again
        step = kLookSecond;
        return true;
      case kLookSecond:
        if (state->inside[1] != 0) {
          step = kLookFirst;
        } else {
          step = mistake_ == Mistake::kLookBeforeShut ? kShut : kForking;
        }
        return true;
      case kForking:
        step = mistake_ == Mistake::kGiveUpFirst ? kGiveUp : kOpen;
        return true;
      case kOpen:
        state->closed = 0;
        if (mistake_ == Mistake::kGiveUpFirst || mistake_ == Mistake::kNoClaim) {
          again(FirstOfClose());
        } else {
          step = kGiveUp;
        }
        return true;
      case kGiveUp:
        state->closer = 0;
        if (mistake_ == Mistake::kGiveUpFirst) {
          step = kOpen;
        } else {
          again(FirstOfClose());
        }
        return true;
      case kDone:
        return false;
    }
    return false;
  }

  Mistake mistake_;
};

}  // namespace

TEST_CASE("gate model: in no interleaving is the gate closed with somebody inside, and none gets stuck") {
  const Result result = Model(Mistake::kNone).Explore();
  MESSAGE(result.states << " states of " << kEnterers << " threads that enter and " << kClosers << " that fork");
  CHECK(result.states > 1000);
  CHECK_FALSE(result.violated);
  CHECK_FALSE(result.stuck);
}

TEST_CASE("gate model: the check finds mistakes") {
  CHECK(Model(Mistake::kReadBeforeWrite).Explore().violated);
  CHECK(Model(Mistake::kGiveUpFirst).Explore().violated);
  CHECK(Model(Mistake::kNoClaim).Explore().violated);
  CHECK(Model(Mistake::kLookBeforeShut).Explore().violated);
}
