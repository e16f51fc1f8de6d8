// tree.cjs many|few LEVELS ROUNDS: builds and frees a binary tree of 24-byte nodes.
const { addon, result } = require('./addon.cjs');

const [stacks, levels, rounds] = process.argv.slice(2);
result(addon().tree(stacks === 'many', Number(levels), Number(rounds)));
