// One clean workload: node bench/leaks/workload.mjs NAME CALLS
import { workloads } from '../../test/leaks/workloads/index.mjs';

const [name, calls = '20'] = process.argv.slice(2);
const { run, close } = await workloads[name].open();
for (let i = 0; i < Number(calls); i++) await run();
await close?.();
