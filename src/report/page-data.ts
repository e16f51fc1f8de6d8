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
  /** The tree of stacks, outermost function first. Node 0 is the root; a parent comes before its children. */
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
