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
