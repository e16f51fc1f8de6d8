// The states that a model can come into, and the steps between them.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <vector>

namespace forkheap::test {

// A model derives from this, and visits the states that one of `state` leads to. State has operator<.
template <typename State>
class StateSpace {
 public:
  // States from which no way leads to one that `good` accepts: threads wait for each other for ever.
  template <typename Good>
  [[nodiscard]] int Stuck(Good good) const {
    std::vector<bool> reaches(states_.size());
    std::deque<int> todo;
    for (size_t i = 0; i < states_.size(); ++i) {
      if (!good(states_[i])) continue;
      reaches[i] = true;
      todo.push_back(static_cast<int>(i));
    }
    while (!todo.empty()) {
      const int index = todo.front();
      todo.pop_front();
      for (const int before : before_[index]) {
        if (reaches[before]) continue;
        reaches[before] = true;
        todo.push_back(before);
      }
    }
    int stuck = 0;
    for (const bool reached : reaches) stuck += !reached;
    return stuck;
  }

  [[nodiscard]] size_t size() const { return states_.size(); }
  [[nodiscard]] size_t steps() const { return steps_; }

 protected:
  // Visits every state that can be reached: `step(state, index)` visits those that are one step away.
  template <typename Step>
  void Search(const State& first, Step step) {
    Visit(first, -1);
    while (!todo_.empty()) {
      const int index = todo_.front();
      todo_.pop_front();
      const State state = states_[index];
      step(state, index);
    }
  }

  void Visit(const State& state, int from) {
    const auto [found, fresh] = index_.emplace(state, static_cast<int>(states_.size()));
    if (fresh) {
      states_.push_back(state);
      before_.emplace_back();
      todo_.push_back(found->second);
    }
    if (from >= 0) {
      before_[found->second].push_back(from);
      ++steps_;
    }
  }

  [[nodiscard]] const std::vector<State>& states() const { return states_; }

 private:
  std::map<State, int> index_;
  std::vector<State> states_;
  std::vector<std::vector<int>> before_;
  std::deque<int> todo_;
  size_t steps_ = 0;
};

}  // namespace forkheap::test
