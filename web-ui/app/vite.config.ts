// Two programs from one component library: `--mode gateway` and `--mode portfolio` each have a root
// with an index.html and an output folder that one of the two Rust binaries embeds.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { comesLater } from './scripts/later.mjs';

/** Writes the service worker beside the pages, with the names of all files that it keeps. */
function serviceWorker(source: string): Plugin {
  return {
    name: 'service-worker',
    generateBundle(_options, bundle) {
      const files = Object.keys(bundle).filter((name) => name.startsWith('assets/'));
      const list = JSON.stringify(files.map((name) => `/${name}`).sort());
      const hash = createHash('sha256').update(list).digest('hex').slice(0, 12);
      const text = readFileSync(new URL(source, import.meta.url), 'utf8')
        .replace('__FILES__', () => list)
        .replace('__HASH__', () => JSON.stringify(hash));
      this.emitFile({ type: 'asset', fileName: 'sw.js', source: text });
    },
  };
}

/** Cuts the texts of a language in two: `nb.json?first` is what a first page may say, `?later` the rest. */
function textsInTwo(): Plugin {
  return {
    name: 'texts-in-two',
    load(id) {
      const [, file, part] = /^(.*\.json)\?(first|later)$/.exec(id) ?? [];
      if (file === undefined) return null;
      this.addWatchFile(file);
      const texts = Object.entries(
        JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>,
      );
      const kept = texts.filter(([code]) => comesLater(code) === (part === 'later'));
      const code = `export default ${JSON.stringify(Object.fromEntries(kept))}`;
      return { code, moduleType: 'js' };
    },
  };
}

export default defineConfig(({ mode }) => {
  const entry = mode === 'portfolio' ? 'portfolio' : 'gateway';
  const backend = process.env['FYRHUS_URL'] ?? 'http://127.0.0.1:8080';
  return {
    root: mode === 'test' ? '.' : `src/${entry}`,
    publicDir: entry === 'gateway' && mode !== 'test' ? 'public' : false,
    plugins: [
      textsInTwo(),
      svelte({ configFile: false, compilerOptions: { runes: true } }),
      ...(entry === 'gateway' ? [serviceWorker('src/gateway/sw.js')] : []),
    ],
    build: {
      outDir: `../../../dist/${entry}`,
      emptyOutDir: true,
      target: 'es2022',
      // Every asset is a file of its own: the content security policy has no `data:`.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      rollupOptions: {
        output: {
          chunkFileNames: ({ facadeModuleId }) =>
            facadeModuleId?.endsWith('?later')
              ? 'assets/later-[name]-[hash].js'
              : 'assets/[name]-[hash].js',
        },
      },
    },
    server: { proxy: { '/api': { target: backend, secure: false } } },
    // A limit against a test that hangs, not a measure of speed: a cold machine loads for seconds.
    test: { include: ['src/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
  };
});
