;; Says that it pins keys.
;;; describe
(call $about (i32.const 16) (i32.const 5) (i32.const 1))
