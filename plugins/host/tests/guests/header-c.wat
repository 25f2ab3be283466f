;; Asks for the headers x-a and x-c; traps when the random bits are all ones, else parks for the length of x-c.
;;; module
(data (i32.const 1024) "x-ax-c\00\00\00\04\00\00\03\00\00\00\03\04\00\00\03\00\00\00")
;;; configure
(call $needs (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1032) (i32.const 2))
;;; pick
(if (i64.eq (local.get $random) (i64.const -1)) (then unreachable))
(call $verdict (i32.const 3) (i32.load offset=20 (local.get $headers)))
