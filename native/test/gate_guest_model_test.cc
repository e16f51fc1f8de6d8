// Every interleaving of three threads: one that forks, one that passes the gate, and one that passes it and whose
// signal handler forks at any of its steps, also while it is inside. Then its fork() goes through the gate that another
// fork() has closed, as a guest (gate.cc). A step is one of the gate's sequentially consistent operations.
#include <array>
#include <cstdint>

#include "harness.h"
#include "state_space.h"

namespace {

// Enter() and Leave().
enum PassingAt : uint8_t { kMark, kLook, kInside, kUnmark, kWait };
// Close() and Open(), of the thread and of the handler; kIdle is a handler that does not run.
enum ForkingAt : uint8_t {
  kIdle,
  kTake,
  kShut,
  kScan,
  kForking,
  kClear,
  kGiveBack,
  kGuestScan,
  kGuestForking,
  kGuestLeave
};

enum Thread : uint8_t { kPassing, kInterrupted };

struct State {
  std::array<uint8_t, 2> at{};      // of the passing threads, by Thread
  std::array<uint8_t, 2> inside{};  // their slots
  uint8_t forking = kTake;
  uint8_t handler = kIdle;
  uint8_t closed = 0;  // 1 when closed, and 2 for the guest
  uint8_t owner = 0;   // closer_: 1 the forking thread, 2 the handler

  [[nodiscard]] std::array<uint8_t, 8> Key() const {
    return {at[0], at[1], inside[0], inside[1], forking, handler, closed, owner};
  }
  bool operator<(const State& other) const { return Key() < other.Key(); }
};

// What is wrong with the gate.
enum class Defect : uint8_t {
  kNone,
  kUncounted,  // a guest that the owner of the gate does not know of
  kOpenToo,    // a guest also where the gate is not closed any more, or not yet
  kNoGuests,   // the handler's fork waits for the other one
};

class Model : public forkheap::test::StateSpace<State> {
 public:
  explicit Model(Defect defect) : defect_(defect) {
    Search({}, [this](const State& state, int index) {
      StepPassing(state, index, kPassing);
      if (state.handler == kIdle) {
        StepPassing(state, index, kInterrupted);
        State next = state;  // the signal
        next.handler = kTake;
        Visit(next, index);
      } else {
        StepHandler(state, index);
      }
      StepForking(state, index);
    });
  }

  // A fork() while another thread is inside.
  [[nodiscard]] int Violations() const {
    int count = 0;
    for (const State& state : states()) {
      const bool others[2] = {state.at[kPassing] == kInside, state.at[kInterrupted] == kInside};
      count += state.forking == kForking && (others[0] || others[1]);
      count += (state.handler == kForking || state.handler == kGuestForking) && others[0];
    }
    return count;
  }

 private:
  void StepPassing(const State& state, int index, Thread thread) {
    State next = state;
    uint8_t& at = next.at[thread];
    switch (at) {
      case kMark:
        next.inside[thread] = 1;
        at = kLook;
        break;
      case kLook:
        at = state.closed == 0 ? kInside : kUnmark;
        break;
      case kInside:
        next.inside[thread] = 0;
        at = kMark;
        break;
      case kUnmark:
        next.inside[thread] = 0;
        at = kWait;
        break;
      default:
        if (state.closed != 0) return;
        at = kMark;
        break;
    }
    Visit(next, index);
  }

  // The steps of an ordinary fork(). `at` is part of `next`.
  bool StepOwner(State* next, uint8_t* at, uint8_t self, bool others_inside) const {
    switch (*at) {
      case kTake:
        if (next->owner != 0) return false;
        next->owner = self;
        *at = kShut;
        return true;
      case kShut:
        next->closed = 1;
        *at = kScan;
        return true;
      case kScan:
        if (others_inside) return false;
        *at = kForking;
        return true;
      case kForking:
        *at = kClear;
        return true;
      case kClear:
        if (next->closed != 1 && defect_ != Defect::kUncounted && defect_ != Defect::kOpenToo) return false;
        next->closed = 0;
        *at = kGiveBack;
        return true;
      default:
        next->owner = 0;
        *at = self == 1 ? kTake : kIdle;
        return true;
    }
  }

  void StepForking(const State& state, int index) {
    State next = state;
    if (StepOwner(&next, &next.forking, 1, state.inside[0] != 0 || state.inside[1] != 0)) Visit(next, index);
  }

  void StepHandler(const State& state, int index) {
    State next = state;
    const bool counted = defect_ == Defect::kNone;
    const bool closed = state.closed != 0 || defect_ == Defect::kOpenToo;
    switch (state.handler) {
      case kGuestScan:
        if (state.inside[kPassing] != 0) return;
        next.handler = kGuestForking;
        break;
      case kGuestForking:
        next.handler = kGuestLeave;
        break;
      case kGuestLeave:
        if (counted) next.closed -= 2;
        next.handler = kIdle;
        break;
      default:
        if (state.handler == kTake && state.owner != 0 && state.inside[kInterrupted] != 0 && closed &&
            defect_ != Defect::kNoGuests) {
          if (counted) next.closed += 2;
          next.handler = kGuestScan;
        } else if (!StepOwner(&next, &next.handler, 2, state.inside[kPassing] != 0)) {
          return;
        }
        break;
    }
    Visit(next, index);
  }

  Defect defect_;
};

int StuckForks(const Model& model) {
  return model.Stuck([](const State& s) { return s.forking == kForking; }) +
         model.Stuck([](const State& s) { return s.handler == kForking || s.handler == kGuestForking; });
}

}  // namespace

TEST("no fork while another thread is inside, also from a handler; nobody waits for ever") {
  const Model model(Defect::kNone);
  EXPECT(model.Violations() == 0);
  EXPECT(StuckForks(model) == 0);
  EXPECT(model.Stuck([](const State& s) { return s.at[kPassing] == kInside; }) == 0);
  EXPECT(model.Stuck([](const State& s) { return s.handler == kGuestForking; }) == 0);
  printf("# %zu states\n", model.size());
}

TEST("the search finds the errors of wrong gates") {
  EXPECT(Model(Defect::kUncounted).Violations() > 0);
  EXPECT(Model(Defect::kOpenToo).Violations() > 0);
  EXPECT(StuckForks(Model(Defect::kNoGuests)) > 0);
}

int main() { return forkheap::test::RunTests("gate model with guests"); }
