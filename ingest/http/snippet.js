/* Page views and clicks; nothing under DNT or Global Privacy Control. */
(function () {
  'use strict';
  var w = window, d = document, n = navigator, h = history, s = d.currentScript;
  var key = s && s.getAttribute('data-key');
  if (!key || n.doNotTrack === '1' || w.doNotTrack === '1' || n.globalPrivacyControl) return;
  var to = new URL('/v1/collect?key=' + encodeURIComponent(key), s.src).href;
  var queue = [], timer = 0, wait = 1000, last, from = d.referrer, me, fresh;

  function uuid() {
    return w.crypto && crypto.randomUUID ? crypto.randomUUID()
      : 'x'.repeat(32).replace(/x/g, function () { return (Math.random() * 16 | 0).toString(16); });
  }
  try {
    me = localStorage.getItem('_mkt') || uuid();
    localStorage.setItem('_mkt', me);
  } catch (e) { me = 0; }

  function add(type, more) {
    var event = { event_id: uuid(), type: type, occurred_at: Date.now(), url: location.href.slice(0, 2048) };
    if (from) event.referrer = from.slice(0, 2048);
    if (me) event.visitor_id = me;
    if (n.webdriver) event.automated = true;
    for (var name in more) if (more[name]) event[name] = more[name];
    if (queue.push(event) > 200) queue.shift();
    if (queue.length > 19 && wait < 2e3) {
      clearTimeout(timer);
      timer = setTimeout(flush, 0);
    } else if (!timer) timer = setTimeout(flush, wait);
    return event;
  }

  function flush() {
    clearTimeout(timer);
    timer = 0;
    settle();
    if (!queue.length) return;
    var batch = queue.splice(0, 20), body = JSON.stringify({ sent_at: Date.now(), events: batch });
    if (d.visibilityState === 'hidden' && n.sendBeacon && n.sendBeacon(to, body)) return flush();
    fetch(to, { method: 'POST', body: body, keepalive: body.length < 6e4, credentials: 'omit' }).then(function (r) {
      if (r.status === 429 || r.status > 499) throw 0;
      wait = 1000;
      if (queue.length && !timer) timer = setTimeout(flush, wait);
    }).catch(function () {
      queue = batch.concat(queue).slice(0, 200);
      wait = Math.min(wait * 2, 6e4);
      if (!timer) timer = setTimeout(flush, wait);
    });
  }

  function view() {
    var here = location.href;
    if (here === last) return;
    if (last) from = last;
    last = here;
    // Routers render before or after they navigate: read the product when both are done.
    setTimeout(settle, 0);
    fresh = add('view');
  }

  function settle() {
    if (fresh && last === location.href) fresh.product = product(d.documentElement) || void 0;
    fresh = 0;
  }

  function product(el) {
    el = el && el.closest('[data-product]');
    return el ? el.getAttribute('data-product').slice(0, 128) : '';
  }

  ['pushState', 'replaceState'].forEach(function (name) {
    var original = h[name];
    h[name] = function () { original.apply(h, arguments); view(); };
  });
  addEventListener('popstate', view);
  d.addEventListener('click', function (e) {
    var el = e.target.closest && e.target.closest('a[href],button,[data-product]');
    if (!el) return;
    var name = el.href || el.name || el.id || (el.textContent || '').trim();
    add('click', { target: String(name).slice(0, 512), product: product(el) });
  }, true);
  d.addEventListener('visibilitychange', function () { if (d.visibilityState === 'hidden') flush(); });
  addEventListener('pagehide', flush);
  view();
})();
