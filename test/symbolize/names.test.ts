import t from 'tap';
import { shortName } from '../../src/symbolize/names.js';
import { isAllocationWrapper } from '../../src/symbolize/wrappers.js';

t.test('names without parameters, return types and suffixes', async (t) => {
  const names = {
    'db_get_many(napi_env__*, napi_callback_info__*)': 'db_get_many',
    main: 'main',
    'void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int*, int const&)':
      'std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>',
    'node::(anonymous namespace)::Make(int) const': 'node::(anonymous namespace)::Make',
    '(anonymous namespace)::Make()': '(anonymous namespace)::Make',
    'Foo::operator()(int) const': 'Foo::operator()',
    'operator new(unsigned long)': 'operator new',
    'operator new[](unsigned long, std::nothrow_t const&)': 'operator new[]',
    'Foo::operator new(unsigned long)': 'Foo::operator new',
    'Foo::operator unsigned long() const': 'Foo::operator unsigned long',
    'std::ostream& operator<< <char>(std::ostream&, char)': 'operator<< <char>',
    'main::{lambda(int)#1}::operator()(int) const': 'main::{lambda(int)#1}::operator()',
    'run(void (*)(int), int)': 'run',
    'Foo::bar(int) [clone .isra.0] [clone .cold]': 'Foo::bar',
    'bar.constprop.0': 'bar',
    'bar.cold': 'bar',
    '__libc_start_main@@GLIBC_2.34': '__libc_start_main',
    'operator()': 'operator()',
    'set(std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&)': 'set',
    'std::map<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >, int>::map()':
      'std::map<std::string, int>::map',
    '<alloc::vec::Vec<T> as core::clone::Clone>::clone': '<alloc::vec::Vec<T> as core::clone::Clone>::clone',
    '': '',
    ')': ')',
    '((((': '((((',
  };
  for (const [full, short] of Object.entries(names)) t.equal(shortName(full), short, full);
});

t.test('allocation wrappers', async (t) => {
  const wraps = (name: string, file = '/opt/x.node') =>
    isAllocationWrapper(
      { address: 1, offset: 1, frames: [], mapping: { start: 0, limit: 9, offset: 0, file, buildId: '' } },
      { function: name, file: '', line: 0 },
    );
  const yes = [
    ...['malloc', 'calloc', '__libc_realloc', 'posix_memalign', 'aligned_alloc', 'strdup', '__GI___strdup', 'tc_new'],
    ...[
      'operator new(unsigned long)',
      'operator new[](unsigned long)',
      'v8::internal::Malloced::operator new(unsigned long)',
    ],
    'std::__new_allocator<int>::allocate(unsigned long, void const*)',
    '__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)',
    'std::allocator_traits<std::allocator<int> >::allocate(std::allocator<int>&, unsigned long)',
    'std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)',
    'tcmalloc::allocate_full_cpp_throw_oom(unsigned long)',
    'MallocHook::InvokeNewHookSlow(void const*, unsigned long)',
  ];
  for (const name of yes) t.ok(wraps(name), name);
  const no = [
    'main',
    'my_malloc',
    'Pool::allocate(int)',
    'std::vector<int>::reserve(unsigned long)',
    'strdup_all(char*)',
  ];
  for (const name of no) t.notOk(wraps(name), name);
  t.ok(wraps('anything', '/usr/lib/libtcmalloc_and_profiler.so.4.6.5'));
  t.ok(wraps('anything', '/x/build/Release/forkheap_preload.so'));
});
