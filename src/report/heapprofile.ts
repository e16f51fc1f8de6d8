import { pathToFileURL } from 'node:url';
import type { Profile } from '../profile/model.js';
import type { ShownFrame } from '../symbolize/resolve.js';
import { buildCallTree, type CallNode } from './call-tree.js';
import type { StackExportOptions } from './collapsed.js';

interface DevToolsNode {
  callFrame: { functionName: string; scriptId: string; url: string; lineNumber: number; columnNumber: number };
  selfSize: number;
  id: number;
  children: DevToolsNode[];
}

function urlOf({ file, mapping }: ShownFrame): string {
  if (file.startsWith('/')) return pathToFileURL(file).href;
  return file || mapping;
}

/**
 * The profile as DevTools' `.heapprofile`: for the Memory panel of Chrome and Edge, VS Code, speedscope.
 *
 * @param profile without negative values.
 * @since 0.1.0
 */
export function toHeapProfile(profile: Profile, options: StackExportOptions = {}): string {
  const value = options.value ?? 'inuseSpace';
  const samples: { size: number; nodeId: number; ordinal: number }[] = [];
  let id = 0;
  const convert = ({ frame, self, children }: CallNode, isRoot: boolean): DevToolsNode => {
    id++;
    const node: DevToolsNode = {
      // DevTools counts lines and columns from 0, and names where a function begins.
      callFrame: {
        functionName: isRoot ? '(root)' : frame.name,
        scriptId: '0',
        url: urlOf(frame),
        lineNumber: frame.startLine - 1,
        columnNumber: -1,
      },
      selfSize: Math.max(0, Math.round(self[value])),
      id,
      children: [],
    };
    if (node.selfSize > 0) samples.push({ size: node.selfSize, nodeId: node.id, ordinal: samples.length + 1 });
    for (const child of children.values()) {
      if (Math.round(child.total[value]) > 0) node.children.push(convert(child, false));
    }
    return node;
  };
  const tree = buildCallTree(profile, { perProcess: profile.processes.length > 1 });
  return JSON.stringify({ head: convert(tree, true), samples });
}
