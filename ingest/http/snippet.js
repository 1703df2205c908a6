/* Page views, clicks and named events of a page; nothing under DNT and Global Privacy Control. `make snippet` makes m.js
   of this file. */
(() => {
  const here = location, w = window, d = document, n = navigator, html = d.documentElement, old = w.marketplace;
  const listen = (names, work) => names.split(' ').forEach(name => addEventListener(name, work, true));
  let tag = d.currentScript, queue = [], wait = 1e3, flying = 0, from = d.referrer, timer, last, fresh, depth, to, me, said;

  const warn = text => text === said || console.warn('m.js: ' + (said = text));
  // A module has no script of its own, and tag managers strip attributes: any tag that has the key will do.
  if (!tag?.dataset.key) tag = d.querySelector('script[data-key][src*="/m.js"]') || tag || d.querySelector('script[src*="/m.js"]');
  const { key, url, cookieDomain: domain, hash, outbound, downloads, scroll } = {
    url: tag?.src, ...w.marketplaceConfig, ...tag?.src && Object.fromEntries(new URL(tag.src).searchParams), ...tag?.dataset
  };
  if (!key || !url) return warn('no key');
  if (old?.key === key) return;
  w.marketplace = named;
  named.key = key;
  if (+n.doNotTrack || n.globalPrivacyControl) return;
  to = new URL('/v1/collect?key=' + key, url);

  const uuid = () => crypto.getRandomValues(new Uint32Array(4)).join('-');
  // Under the flag u only halves of pairs are found, and the cut can leave one.
  const cut = (text, most = 2048) => String(text).slice(0, most).replace(/[\ud800-\udfff]/gu, '');
  const product = el => cut(el?.dataset.product || '', 128);
  const bare = url => url.split(/[?#]/)[0];
  // A route behind the # becomes the end of the path: what counts pages looks at nothing else.
  const page = () => bare(here.href) + (hash != null && /^#[!/]/.test(here.hash) ? '%23' + bare(here.hash.slice(1)) : '');

  try {
    me = domain && /\b_mkt=([\w-]+)/.exec(d.cookie)?.[1] || localStorage._mkt || uuid();
    if (domain) d.cookie = `_mkt=${me};path=/;max-age=31536000;samesite=lax;domain=` + domain + (here.protocol > 'http:' ? ';secure' : '');
    localStorage._mkt = me;
  } catch { me = void 0; }

  function add(type, more) {
    const event = {
      event_id: uuid(), type, occurred_at: Date.now(), visitor_id: me, referrer: cut(bare(from)),
      url: cut(page() + here.search + here.hash), automated: n.webdriver, ...more
    };
    queue = queue.concat(event).slice(-200);
    later();
    return event;
  }

  function later() { if (queue.length) timer = timer || setTimeout(flush, wait); }

  function flush() {
    timer = clearTimeout(timer);
    settle();
    fresh = 0;
    while (queue.length && !d.prerendering && (flying <= 0 || d.hidden)) {
      let count = 20, body, size;
      // Browsers take 64 KiB of requests that outlive a page, all together.
      do {
        body = JSON.stringify({ sent_at: Date.now(), events: queue.slice(0, count) });
        size = new Blob([body]).size;
      } while (size + flying > 6e4 && --count);
      if (!count) break;
      const batch = queue.splice(0, count);
      flying += size;
      fetch(to, { method: 'POST', body, keepalive: true, credentials: 'omit' }).then(r => {
        if (/429|5../.test(r.status)) throw 0;
        wait = 1e3;
        if (!r.ok) r.text().then(text => warn(text || r.status));
      }).catch(() => {
        queue = batch.concat(queue);
        wait = wait > 3e4 ? 6e4 : wait * 2;
      }).then(() => {
        flying -= size;
        later();
      });
    }
  }

  function view(e) {
    const now = page();
    // A page that comes back hears nothing of what it sent when it was left.
    if (e?.persisted) flying = 0;
    else if (d.prerendering || now === last) return;
    from = last || from;
    last = now;
    depth = 25;
    // Routers render before or after they navigate, or when they have what they show: the product is read once more later.
    setTimeout(settle);
    fresh = add('view');
  }

  function settle() {
    if (fresh && last === page()) fresh.product = product(html);
  }

  function named(name, given, id) {
    if (!to) return;
    if (!name) return warn('no name');
    if (name[64]) warn('cut ' + name);
    const properties = {}, more = { name: cut(name, 64), product: product(html), properties };
    if (id) {
      more.event_id = cut(id, 64);
      try {
        // An order's number is the id of more than one event about it.
        if (localStorage[id = '_mkt' + [name, id]]) return;
        localStorage[id] = 1;
      } catch {}
    }
    Object.entries(given || {}).slice(0, 20).forEach(([label, value]) => {
      if (label === 'product') more.product = cut(value, 128);
      else if (/^[bns]/.test(typeof value)) properties[cut(label, 64)] = cut(value, 200);
    });
    add('event', more);
  }

  function click(e) {
    settle();
    const path = e.composedPath(), at = what => path.find(place => place.matches?.(what));
    const el = at('a[*|href],area,button,summary,[role=button],[type=submit],[type=button],[type=image],[type=reset]')
      || at('[data-product]:not(html)');
    const link = el?.matches('a,area');
    // The middle button opens a link, and does nothing to others.
    if (!el || e.button > (link ? 1 : 0)) return;
    let to, name, target;
    if (link) try {
      to = new URL(el.href.baseVal || el.href, d.baseURI);
      target = to.host ? to.origin + to.pathname : to.protocol;
      if (downloads != null && /\.(pdf|zip|docx?|xlsx?|pptx?|csv|mp[34])$/i.test(target)) name = 'file_download';
      else if (outbound != null && to.host && !('.' + to.hostname).endsWith('.' + (domain || here.hostname))) name = 'outbound_click';
      // A link that leads nowhere else (the page, a script, a blob) is a button.
      if (/^[jb]/.test(target) || target === bare(here.href)) target = '';
    } catch {}
    'name id aria-label value'.split(' ').forEach(label => target = target || el.getAttribute(label));
    add(name ? 'event' : 'click', { name, target: cut(target || el.textContent.trim(), 512), product: product(at('[data-product]')) });
  }

  if (w.navigation) navigation.addEventListener('currententrychange', view);
  else 'pushState replaceState'.split(' ').forEach(name => {
    const original = history[name];
    history[name] = (...given) => {
      original.apply(history, given);
      view();
    };
  });
  listen('popstate pageshow prerenderingchange', view);
  listen('click auxclick', click);
  listen('visibilitychange pagehide', flush);
  if (scroll != null) listen('scroll', () => {
    for (; depth < 101 && (scrollY + innerHeight + 1) / html.scrollHeight * 100 > depth; depth += 25) named('scroll', { percent: depth });
  });
  view();
  old?.q?.forEach(given => named(...given));
})();
