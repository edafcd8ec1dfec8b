// Two programs from one component library: `--mode gateway` and `--mode portfolio` each have a root
// with an index.html and an output folder that one of the two Rust binaries embeds.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig(({ mode }) => {
  const entry = mode === 'portfolio' ? 'portfolio' : 'gateway';
  const backend = process.env['FYRHUS_URL'] ?? 'http://127.0.0.1:8080';
  return {
    root: mode === 'test' ? '.' : `src/${entry}`,
    publicDir: false,
    plugins: [svelte({ configFile: false, compilerOptions: { runes: true } })],
    build: {
      outDir: `../../../dist/${entry}`,
      emptyOutDir: true,
      target: 'es2022',
      // Every asset is a file of its own: the content security policy has no `data:`.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
    server: { proxy: { '/api': { target: backend, secure: false } } },
    test: { include: ['src/**/*.test.ts'] },
  };
});
