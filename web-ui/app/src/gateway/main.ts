import { mount } from 'svelte';
import '../lib/tokens.css';
import '../lib/base.css';
import { preferredLang, setLang } from '../lib/text.svelte';
import { startTheme } from '../lib/theme.svelte';
import App from './App.svelte';

startTheme();
await setLang(preferredLang(location.search));
const target = document.getElementById('app');
if (target) mount(App, { target });

// A browser takes it only on an address that it trusts; elsewhere the pages are as they are, without.
if (import.meta.env.PROD && window.isSecureContext && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register('/sw.js').catch(() => undefined);
}
