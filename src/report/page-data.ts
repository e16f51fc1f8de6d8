/** What the report's page is drawn from. Columns of equal length; texts are indices into `strings`. */
export interface PageData {
  title: string;
  hasBaseline: boolean;
  /** The forkheap that profiled. */
  forkheap: string;
  warnings: string[];
  /** In use: bytes, objects; allocated: bytes, objects. */
  total: number[];
  processes: PageProcess[];
  strings: string[];
  frames: { name: number[]; file: number[]; line: number[]; mapping: number[]; owner: number[] };
  /**
   * The tree of stacks, outermost function first. Node 0 is the root; a parent comes before its children. Of `parent` and of the
   * samples' `node` only differences are written ({@link packData}): they are small, and compress well.
   */
  nodes: { parent: number[]; frame: number[] };
  /** `side`: 0 is the profile, 1 the baseline. */
  samples: { node: number[]; process: number[]; owner: number[]; side: number[]; values: number[][] };
}

/** A process in the page. */
export interface PageProcess {
  pid: number;
  parentPid: number | null;
  kind: string;
  command: string;
  mode: string;
  startTime: string | null;
  node: string;
  gperftools: string;
  baselineOnly: boolean;
}

/** Writes differences in the place of numbers that grow; `unpackData` takes them back. Changes `data`. */
export function packData(data: PageData): PageData {
  const { parent } = data.nodes;
  for (const [i, above] of parent.entries()) parent[i] = i - above;
  const { node } = data.samples;
  for (let i = node.length - 1; i > 0; i--) node[i] = (node[i] as number) - (node[i - 1] as number);
  return data;
}

/** Undoes {@link packData}. */
export function unpackData(data: PageData): PageData {
  const { parent } = data.nodes;
  for (const [i, distance] of parent.entries()) parent[i] = i - distance;
  const { node } = data.samples;
  for (let i = 1; i < node.length; i++) node[i] = (node[i] as number) + (node[i - 1] as number);
  return data;
}
