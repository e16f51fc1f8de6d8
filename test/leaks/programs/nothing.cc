// A library that only takes part in being loaded.
extern "C" int nothing() { return 0; }
