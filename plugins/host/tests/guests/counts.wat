;; Parks for as many milliseconds as it has been asked; traps when the random bits are all ones.
;;; module
(global $asked (mut i32) (i32.const 0))
;;; pick
(if (i64.eq (local.get $random) (i64.const -1)) (then unreachable))
(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
(call $verdict (i32.const 3) (global.get $asked))
